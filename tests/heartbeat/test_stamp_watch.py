"""The watch over those who stamp a page, on a real loop."""

import asyncio
import multiprocessing
import time
from typing import Any

import pytest

from suptree.actors.base.life_stamps import LifeStamps
from suptree.actors.base.messages import Silent, Suspect
from suptree.actors.errors import ConfigError
from suptree.actors.heartbeat.stamp_watch import StampWatch
from suptree.actors.spec.agent_spec import HeartbeatSpec
from suptree.control.launcher.own_heartbeat import own_heartbeat

SPEC = HeartbeatSpec(interval=0.1, suspect_after=0.4, dead_after=0.8)


def test_a_stamp_of_a_forked_process_is_seen() -> None:
    stamps = LifeStamps("one", "other")
    assert 0.0 == stamps.seen("other")
    before = time.monotonic()
    child = multiprocessing.get_context("fork").Process(target=stamps.stamp, args=("other",))
    child.start()
    child.join(30)
    assert before <= stamps.seen("other") <= time.monotonic()
    assert 0.0 == stamps.seen("one")


def verdicts(stamped_for: float, watched_for: float, *, unwatch: bool = False, blocks: float = 0.0) -> list[Any]:
    """What is said of one that stamps for so long; with `blocks` the watching loop does not run for so long in the middle."""

    async def run() -> list[Any]:
        stamps, said = LifeStamps("one"), list[Any]()
        loop = asyncio.get_running_loop()
        watch = StampWatch(loop, stamps, SPEC, said.append)
        watch.watch("one", 3, 1)
        if unwatch:
            watch.unwatch("one", 3)
        begun = loop.time()
        if blocks:
            time.sleep(blocks)  # noqa: ASYNC251  (that is the point)
        while (now := loop.time() - begun) < watched_for:
            if now < stamped_for or now < blocks + 0.2:
                stamps.stamp("one")
            await asyncio.sleep(0.05)
        return said

    return asyncio.run(run())


def test_one_that_stamps_is_left_alone_and_one_that_stops_is_suspect_then_silent_once() -> None:
    assert [] == [said for said in verdicts(3.0, 2.5) if isinstance(said, Silent)]
    said = verdicts(0.2, 2.5)
    assert [Suspect, Silent] == list(map(type, said))
    assert ("one", 3, "actor") == (said[1].id, said[1].incarnation, said[1].source)
    assert said[1].age >= 0.8


def test_who_is_watched_no_longer_is_not_judged_and_a_watcher_that_was_late_excuses_it() -> None:
    assert [] == verdicts(0.0, 1.5, unwatch=True)
    assert [] == [said for said in verdicts(3.0, 3.0, blocks=1.5) if isinstance(said, Silent)]


def test_the_deadline_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPTREE_DEAD_AFTER", raising=False)
    assert (2.0, 10.0, 30.0) == (own_heartbeat().interval, own_heartbeat().suspect_after, own_heartbeat().dead_after)
    monkeypatch.setenv("SUPTREE_DEAD_AFTER", "3")
    assert pytest.approx((0.2, 1.0, 3.0)) == (own_heartbeat().interval, own_heartbeat().suspect_after, own_heartbeat().dead_after)
    for wrong in ("never", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("SUPTREE_DEAD_AFTER", wrong)
        with pytest.raises(ConfigError, match="SUPTREE_DEAD_AFTER"):
            own_heartbeat()
