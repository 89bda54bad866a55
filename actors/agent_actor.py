"""What the two kinds of agent actor share: beginning, pinging, ending with a last word."""

from typing import ClassVar

from thespian.actors import ActorAddress

from .agent_spec import AgentSpec, Ready
from .errors import InputRefused
from .exits import Exit
from .linux import set_name
from .loop_actor import LoopActor
from .messages import Begin, Ended, Started, Stop, Tell, Told, Unkillable
from .notify import Pinger
from .output_log import OutputLog, log_path
from .sweep import sweep


class AgentActor(LoopActor):
    """Runs one incarnation of one agent, then exits; `run` and `stop` are the kind's own."""

    handlers: ClassVar[dict[type, str]] = {Begin: "on_begin", Stop: "on_stop", Tell: "on_tell"}

    spec: AgentSpec

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.begin, self.supervisor, self.spec = begin, self.open(sender), begin.spec
        set_name(f"st:{begin.id}")
        self.output = OutputLog(log_path(begin.context.state_dir, begin.id), begin.incarnation)
        self.every(self.spec.heartbeat.interval, Pinger(begin.context.runtime_dir).ping)
        self.spawn(self.run())

    def on_stop(self, stop: Stop, _sender: ActorAddress) -> None:
        if stop.incarnation == self.begin.incarnation and not self.ended:
            self.stop()

    def on_tell(self, tell: Tell, _sender: ActorAddress) -> None:
        refusal = "it has ended" if self.ended else None
        try:
            if not self.ended:
                self.tell(tell.text)
        except InputRefused as error:
            refusal = str(error)
        self.supervisor.tell(Told(tell.id, tell.incarnation, tell.request, refusal))

    async def run(self) -> None:
        """Run the agent from start to end."""
        raise NotImplementedError

    def stop(self) -> None:
        """Begin to end the agent, or, when that has begun, take the next rung now."""
        raise NotImplementedError

    def tell(self, text: str) -> None:
        """Hand the agent a line from outside, without waiting for it. Raises InputRefused."""
        raise NotImplementedError

    def started(self, pid: int | None = None) -> None:
        """Tell the supervisor that the agent is up."""
        self.supervisor.tell(Started(self.begin.id, self.begin.incarnation, pid, ready=self.spec.ready is not Ready.NOTIFY))

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
