"""The actor of an agent that is an external program."""

from thespian.actors import ActorAddress

from ..agent.agent_actor import AgentActor
from ..agent.incarnation import Incarnation
from ..base.dispatch import on
from ..base.messages import Hears
from .program_life import ProgramLife


class ProcessAgent(AgentActor):
    """Holds the life of a program."""

    def __init__(self) -> None:
        super().__init__(self._begin_program)
        self.handlers |= dict([on(Hears, self.on_hears)])

    def on_hears(self, hears: Hears, _sender: ActorAddress) -> None:
        self._program.is_heard(hears)

    def _begin_program(self, incarnation: Incarnation) -> ProgramLife:
        self._program = ProgramLife(incarnation)
        return self._program
