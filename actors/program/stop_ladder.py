"""The stop ladder: how a program is ended, each rung only if the one before did not end it in its time."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from ..base.deadlines import Deadlines
from ..spec.agent_spec import AgentSpec


class Target(Enum):
    """What a rung acts on."""

    PRE_STOP_HOOK = "the pre_stop hook, which runs to its end"
    STDIN = "the stdin of the program, if we hold it: it is closed"
    PROCESS_GROUP = "every process in the group of the program"
    NOTHING = "nothing: the program is left its time"
    EVERYTHING = "that group, and whatever lives in the control groups"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step down: which signals are sent and where, and how many seconds the program gets then.

    `seconds` of None goes on as soon as the step itself is done; a rung whose time is 0 is left out.
    """

    name: str
    target: Target
    signals: tuple[signal.Signals, ...]
    seconds: Callable[[AgentSpec], float] | None
    second_request: str
    """What a second stop request does while the program is on this rung."""


_NEXT = "goes on to the next rung immediately"

_BEFORE_ANY_SIGNAL = (
    Rung("pre_stop", Target.PRE_STOP_HOOK, (), None, "ends the hook, and goes on to the next rung"),
    Rung("stdin closed", Target.STDIN, (), lambda spec: spec.stop.cancel, _NEXT),
)
_LAST = Rung("SIGKILL", Target.EVERYTHING, (signal.SIGKILL,), None, "nothing: this is the last")

LADDER: tuple[Rung, ...] = (
    *_BEFORE_ANY_SIGNAL,
    # Each with SIGCONT, as systemd does it: a program that is stopped hears nothing else.
    Rung("SIGINT", Target.PROCESS_GROUP, (signal.SIGINT, signal.SIGCONT), lambda spec: spec.stop.sigint, _NEXT),
    Rung("SIGTERM", Target.PROCESS_GROUP, (signal.SIGTERM, signal.SIGCONT), lambda spec: spec.stop.sigterm, _NEXT),
    _LAST,
)
"""From the first rung to the last."""

LADDER_AFTER_SIGTERM: tuple[Rung, ...] = (
    *_BEFORE_ANY_SIGNAL,
    Rung("SIGTERM was sent", Target.NOTHING, (), lambda spec: spec.stop.sigterm, _NEXT),
    # The time of SIGINT: the stop takes no longer than another. Of SIGTERM, for the first may not have reached the program.
    Rung("SIGTERM again", Target.PROCESS_GROUP, (signal.SIGTERM, signal.SIGCONT), lambda spec: spec.stop.sigint, _NEXT),
    _LAST,
)
"""That of a program which was sent SIGTERM with the whole tree: a further signal could cut short what it does about the first."""

Act = Callable[[Rung], Awaitable[None] | None]
"""Does what a rung says; what it returns is waited for."""


class StopLadder:
    """Climbed down once; a further request takes the next rung immediately.

    `targets` says how to act on each target; a rung whose target is missing is left out. `ended` is set when the program has ended;
    the present rung lasts longer where the program asks for more time: `deadlines` are those of its incarnation. After a further request
    the program gets no more time than the rungs say: a person has waited long enough. `terminated_for` says for how many seconds the
    program has had a SIGTERM that was sent to the whole tree, None if it has had none.
    """

    def __init__(
        self,
        spec: AgentSpec,
        targets: Mapping[Target, Act],
        ended: asyncio.Event,
        deadlines: Deadlines,
        *,
        terminated_for: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._spec = spec
        self._terminated_for = terminated_for
        self._targets = targets
        self._ended = ended
        self._next_rung = asyncio.Event()
        self._deadlines = deadlines
        self._is_hurried = False

    def skip(self) -> None:
        """Stay no longer on the present rung, and on no later one for longer than it says."""
        self._is_hurried = True
        self._next_rung.set()

    async def climb_down(self) -> None:
        """Return when the program has ended, or after the last rung."""
        for rung in LADDER if self._terminated_for() is None else LADDER_AFTER_SIGTERM:
            seconds = None if rung.seconds is None else rung.seconds(self._spec)
            if rung.target is Target.NOTHING and seconds is not None:
                seconds = max(0.0, seconds - (self._terminated_for() or 0.0))
            if rung.target not in self._targets or seconds == 0:
                continue
            if self._ended.is_set():
                return
            self._next_rung.clear()
            acting = self._targets[rung.target](rung)
            if acting is not None:
                await self._unless_hurried(acting)
            if seconds is not None:
                await self._wait(seconds)

    async def _unless_hurried(self, acting: Awaitable[None]) -> None:
        tasks = [asyncio.ensure_future(acting), asyncio.ensure_future(self._next_rung.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if not tasks[0].cancelled():
            tasks[0].result()

    async def _wait(self, seconds: float) -> None:
        """Until the program has ended, the time is over, or the next rung is asked for."""
        later = asyncio.get_running_loop().call_later if self._is_hurried else self._deadlines.set
        deadline = later(seconds, self._next_rung.set)
        waits = [asyncio.ensure_future(event.wait()) for event in (self._ended, self._next_rung)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        deadline.cancel()
        for wait in waits:
            wait.cancel()
