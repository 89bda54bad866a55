"""What the two kinds of agent actor share: beginning, pinging, ending with a last word."""

import asyncio
from functools import partial
from typing import ClassVar

from thespian.actors import ActorAddress

from .agent_spec import AgentSpec, Ready
from .exits import Exit, ExitClass
from .linux import set_name
from .loop_actor import LoopActor
from .messages import Begin, Condemned, Ended, Notified, Stalled, Started, Stop, Unkillable
from .notify import Notification, Pinger
from .output_log import OutputLog, log_path
from .progress import Progress
from .sweep import sweep


class AgentActor(LoopActor):
    """Runs one incarnation of one agent, then exits; `run` and `stop` are the kind's own."""

    handlers: ClassVar[dict[type, str]] = {Begin: "on_begin", Stop: "on_stop", Notified: "on_notified"}

    spec: AgentSpec

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.begin, self.supervisor, self.spec = begin, self.open(sender), begin.spec
        set_name(f"st:{begin.id}")
        self.output = OutputLog(log_path(begin.context.state_dir, begin.id), begin.incarnation)
        self.progress = Progress(self.spec.progress, self._stalled, partial(self.condemned, ExitClass.HUNG))
        self.is_ready = asyncio.Event()
        """Set when it has started, or, where that is asked for, has said `READY=1`."""
        self.every(self.spec.heartbeat.interval, Pinger(begin.context.runtime_dir).ping)
        self.spawn(self.run())

    def on_stop(self, stop: Stop, _sender: ActorAddress) -> None:
        if stop.incarnation == self.begin.incarnation and not self.ended:
            self.stop()

    def on_notified(self, notified: Notified, _sender: ActorAddress) -> None:
        if notified.incarnation == self.begin.incarnation and not self.ended:
            self.hear(notified.said)

    def hear(self, said: Notification) -> None:
        """Take in what the agent says of itself."""
        if said.ready:
            self.is_ready.set()
        if said.status is not None:
            self.progress.hear(waits=said.waits)

    async def run(self) -> None:
        """Run the agent from start to end."""
        raise NotImplementedError

    def stop(self) -> None:
        """Begin to end the agent, or, when that has begun, take the next rung now."""
        raise NotImplementedError

    def started(self, pid: int | None = None) -> None:
        """Tell the supervisor that the agent is up."""
        ready = self.spec.ready is not Ready.NOTIFY
        if ready:
            self.is_ready.set()
        self.supervisor.tell(Started(self.begin.id, self.begin.incarnation, pid, ready=ready))

    def condemned(self, exit_class: ExitClass, why: str) -> None:
        """Ask the supervisor to end the agent; it records the cause first, so that the exit is classed by it."""
        self.supervisor.tell(Condemned(self.begin.id, self.begin.incarnation, exit_class, why))

    def unkillable(self, pids: list[int]) -> None:
        """Tell the supervisor what does not die."""
        self.supervisor.tell(Unkillable(self.begin.id, self.begin.incarnation, tuple(pids)))

    async def finish(self, how: Exit, *, ignored: bool = False) -> None:
        """End whatever is left below us, say how the agent ended, and exit."""
        self.ended = True
        swept = await sweep(tuple, self.unkillable)
        self.clean_up()
        self.output.close()
        self.end(Ended(self.begin.id, self.begin.incarnation, how, tuple(swept), ignored))

    def _stalled(self, seconds: float) -> None:
        self.supervisor.tell(Stalled(self.begin.id, self.begin.incarnation, seconds))
