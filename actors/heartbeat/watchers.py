"""The supervisors that watch incarnations hear what is said there, within the allowance of each."""

import asyncio
import time
from dataclasses import dataclass

from ..base.channel import Outbox
from ..base.messages import Hears, Notified, Silent, Suspect, Unwatched
from ..notify.notification import Notification
from .allowance import Allowance, Passed
from .liveness import Key


@dataclass(slots=True)
class _Watcher:
    supervisor: Outbox
    pid: int
    """That of the supervisor."""
    allowance: Allowance
    rest_is_due: bool = False


class Watchers:
    """The supervisors of all incarnations; one that does not answer hears the newest of each later."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watchers: dict[Key, _Watcher] = {}

    def add(self, key: Key, supervisor: Outbox, pid: int, *, suspect: bool) -> None:
        """This supervisor watches the incarnation from now on, and knows it to be `suspect`."""
        known = self._watchers.get(key)
        allowance = Allowance(time.monotonic(), suspect=suspect) if known is None else known.allowance
        self._watchers[key] = _Watcher(supervisor, pid, allowance, known is not None and known.rest_is_due)

    def pass_on(self, key: Key, word: Notification | Suspect) -> None:
        """The incarnation said something, or no ping comes from it, or one comes again."""
        watcher, now = self._watchers[key], time.monotonic()
        if isinstance(word, Suspect):
            passed = watcher.allowance.judge(word, now, behind=watcher.supervisor.is_behind)
        else:
            passed = watcher.allowance.hear(word, now, behind=watcher.supervisor.is_behind)
        self._tell(key, passed)
        self._wait_for_the_rest(key, watcher)

    def is_silent(self, key: Key, verdict: Silent) -> None:
        """The incarnation has been silent for too long; after all that it said."""
        self._tell(key, self._watchers[key].allowance.rest())
        self._watchers[key].supervisor.tell(verdict)

    def hears(self, hears: Hears) -> None:
        """Agents that run as another user are heard, or why not."""
        self._watchers[hears.id, hears.incarnation].supervisor.tell(hears)

    def forget(self, key: Key) -> None:
        """The incarnation has ended: all that it said is passed on."""
        if key in self._watchers:
            self._tell(key, self._watchers[key].allowance.rest())
            self._watchers.pop(key).supervisor.tell(Unwatched(*key))

    def die(self, pid: int) -> list[Key]:
        """A supervisor has died: nobody hears any more of what that watched."""
        below = [key for key, watcher in self._watchers.items() if watcher.pid == pid]
        for key in below:
            del self._watchers[key]
        return below

    def _tell(self, key: Key, passed: Passed | None) -> None:
        supervisor = self._watchers[key].supervisor
        if passed is not None and passed.said is not None:
            supervisor.tell(Notified(*key, passed.said, passed.skipped))
        if passed is not None and passed.verdict is not None:
            supervisor.tell(passed.verdict)

    def _wait_for_the_rest(self, key: Key, watcher: _Watcher) -> None:
        if watcher.allowance.waits and not watcher.rest_is_due:
            watcher.rest_is_due = True
            self._loop.call_later(watcher.allowance.due_in(time.monotonic()), self._rest_is_due, key)

    def _rest_is_due(self, key: Key) -> None:
        if watcher := self._watchers.get(key):
            watcher.rest_is_due = False
            self._tell(key, watcher.allowance.due(time.monotonic(), behind=watcher.supervisor.is_behind))
            self._wait_for_the_rest(key, watcher)
