"""The stop ladder as a table: which rung comes when, and what a second stop request does."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from suptree.actors.base.deadlines import Deadlines
from suptree.actors.program.stop_ladder import LADDER, LADDER_AFTER_SIGTERM, Rung, StopLadder, Target
from suptree.actors.spec.agent_spec import AgentSpec, StopSpec
from suptree.actors.state import AgentType

Acted = list[str]
# More than any test takes.
LONG = 60.0


def spec(cancel: float, sigint: float, sigterm: float) -> AgentSpec:
    stop = StopSpec(cancel=cancel, sigint=sigint, sigterm=sigterm)
    return AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="true", stop=stop)


def climb(
    of: AgentSpec,
    script: Callable[[StopLadder, Acted, asyncio.Event], Awaitable[None]],
    *,
    hook: Callable[[], Awaitable[None]] | None = None,
    terminated_for: float | None = None,
) -> Acted:
    """The rungs that acted while a script ran beside the ladder."""

    async def run() -> Acted:
        acted: Acted = []
        ended = asyncio.Event()

        def act(rung: Rung) -> None:
            acted.append(rung.name)

        def run_hook(rung: Rung) -> Awaitable[None]:
            acted.append(rung.name)
            assert hook is not None
            return hook()

        targets: dict[Target, Callable[[Rung], Awaitable[None] | None]] = {
            target: act for target in Target if target is not Target.PRE_STOP_HOOK
        }
        if hook is not None:
            targets[Target.PRE_STOP_HOOK] = run_hook
        ladder = StopLadder(of, targets, ended, Deadlines(asyncio.get_running_loop()), terminated_for=lambda: terminated_for)
        climbing = asyncio.create_task(ladder.climb_down())
        await script(ladder, acted, ended)
        async with asyncio.timeout(LONG / 2):
            await climbing
        return acted

    return asyncio.run(run())


async def until(acted: Acted, rung: str) -> None:
    async with asyncio.timeout(LONG / 2):
        while rung not in acted:  # noqa: ASYNC110  (the ladder is under test, and knows no event)
            await asyncio.sleep(0)


async def nothing(_ladder: StopLadder, _acted: Acted, _ended: asyncio.Event) -> None:
    pass


def test_the_rungs_stand_in_the_order_of_their_force() -> None:
    assert [(), (), (signal.SIGINT, signal.SIGCONT), (signal.SIGTERM, signal.SIGCONT), (signal.SIGKILL,)] == [
        rung.signals for rung in LADDER
    ]
    assert [Target.PRE_STOP_HOOK, Target.STDIN, Target.PROCESS_GROUP, Target.PROCESS_GROUP, Target.EVERYTHING] == [
        rung.target for rung in LADDER
    ]


def test_a_program_that_ignores_everything_sees_each_rung_for_its_time() -> None:
    began = time.monotonic()
    assert ["stdin closed", "SIGINT", "SIGTERM", "SIGKILL"] == climb(spec(0.1, 0.2, 0.3), nothing)
    assert time.monotonic() - began >= 0.6


def test_a_program_that_was_sent_sigterm_with_the_whole_tree_has_the_rest_of_its_time_before_another_signal() -> None:
    began = time.monotonic()
    acted = climb(spec(0, 0.1, 10.3), nothing, terminated_for=10.0)
    assert ["SIGTERM was sent", "SIGTERM again", "SIGKILL"] == acted
    assert 0.4 <= time.monotonic() - began < LONG / 6
    assert ["SIGTERM again", "SIGKILL"] == climb(spec(0, 0.1, 5), nothing, terminated_for=5.5)


def test_a_stop_after_sigterm_for_the_whole_tree_takes_no_longer_than_another() -> None:
    of = spec(1, 2, 4)
    assert [7.0, 7.0] == [sum(rung.seconds(of) for rung in ladder if rung.seconds is not None) for ladder in (LADDER, LADDER_AFTER_SIGTERM)]


def test_a_rung_without_time_is_left_out() -> None:
    assert ["SIGINT", "SIGKILL"] == climb(spec(0, 0.1, 0), nothing)


def test_a_program_that_ends_is_left_alone() -> None:
    async def end(_ladder: StopLadder, acted: Acted, ended: asyncio.Event) -> None:
        await until(acted, "SIGINT")
        ended.set()

    assert ["stdin closed", "SIGINT"] == climb(spec(0.1, LONG, LONG), end)


def test_a_second_request_goes_on_to_the_next_rung() -> None:
    async def hurry(ladder: StopLadder, acted: Acted, _ended: asyncio.Event) -> None:
        for rung in ("stdin closed", "SIGINT", "SIGTERM"):
            await until(acted, rung)
            ladder.skip()

    assert ["stdin closed", "SIGINT", "SIGTERM", "SIGKILL"] == climb(spec(LONG, LONG, LONG), hurry)


def test_a_second_request_ends_the_hook_of_the_first_rung() -> None:
    ends: list[str] = []

    async def hook() -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def hurry(ladder: StopLadder, acted: Acted, ended: asyncio.Event) -> None:
        await until(acted, "pre_stop")
        await asyncio.sleep(0)
        ladder.skip()
        await until(acted, "SIGTERM")
        ended.set()

    assert ["pre_stop", "SIGTERM"] == climb(spec(0, 0, LONG), hurry, hook=hook)
    assert ["cancelled"] == ends


def test_an_error_of_a_hook_is_not_lost() -> None:
    async def hook() -> None:
        raise ConnectionError("ours")

    with pytest.raises(ConnectionError, match="ours"):
        climb(spec(0, 0, LONG), nothing, hook=hook)
