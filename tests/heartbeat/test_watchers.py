"""Who hears what an incarnation says: its supervisor, as long as that lives."""

import asyncio
from typing import Any

from suptree.actors.base.messages import Hears, Notified, Silent, Suspect, Unwatched
from suptree.actors.heartbeat.allowance import AT_FIRST
from suptree.actors.heartbeat.watchers import Watchers
from suptree.actors.notify.notification import Notification
from tests.polling import poll_until_async
from tests.supervisor_actor.living_children import SentMessages

A, B, BELOW = ("a", 1), ("b", 1), ("below", 1)
SUSPECT, CLEARED, SILENT = Suspect(*A, suspect=True, age=5.0), Suspect(*A, suspect=False), Silent(*A, 10.0, "program")


def status(number: int) -> Notification:
    return Notification(status=str(number))


def test_what_is_more_than_the_allowance_comes_when_it_is_due_and_before_the_verdict_that_it_is_dead() -> None:
    async def run() -> list[Any]:
        sent = SentMessages()
        watchers = Watchers(asyncio.get_running_loop())
        watchers.add(A, sent.channel(), 7, suspect=False)
        for number in range(AT_FIRST + 2):
            watchers.pass_on(A, status(number))
        for verdict in (SUSPECT, CLEARED, SUSPECT):
            watchers.pass_on(A, verdict)
        assert AT_FIRST == len(sent.messages)
        await poll_until_async(lambda: len(sent.messages) > AT_FIRST, 10.0, "the rest is due")
        watchers.pass_on(A, CLEARED)
        watchers.is_silent(A, SILENT)
        watchers.pass_on(A, status(99))
        watchers.forget(A)
        return sent.messages[AT_FIRST:]

    last = Notified(*A, status(AT_FIRST + 1), 1)
    assert [last, SUSPECT, CLEARED, SILENT, Notified(*A, status(99)), Unwatched(*A)] == asyncio.run(run())


def test_what_a_dead_supervisor_watched_is_forgotten_and_nothing_is_sent_there() -> None:
    async def run() -> None:
        dead, lives = SentMessages(), SentMessages()
        watchers = Watchers(asyncio.get_running_loop())
        watchers.add(A, dead.channel(), 7, suspect=False)
        watchers.add(B, dead.channel(), 7, suspect=True)
        watchers.add(BELOW, lives.channel(), 8, suspect=False)
        assert ([A, B], []) == (watchers.die(7), watchers.die(7))
        watchers.forget(A)
        watchers.hears(Hears(*BELOW))
        assert ([], [Hears(*BELOW)]) == (dead.messages, lives.messages)

    asyncio.run(run())


def test_a_supervisor_that_was_started_again_hears_what_its_predecessor_would_have() -> None:
    async def run() -> None:
        first, second = SentMessages(), SentMessages()
        watchers = Watchers(asyncio.get_running_loop())
        watchers.add(A, first.channel(), 7, suspect=False)
        watchers.add(A, second.channel(), 9, suspect=False)
        assert [] == watchers.die(7)
        watchers.pass_on(A, SUSPECT)
        assert ([], [SUSPECT]) == (first.messages, second.messages)

    asyncio.run(run())
