"""The actor of a native agent: an object of the user's, on the loop of a process of its own."""

from typing import ClassVar

from ..agent.agent_actor import AgentActor
from ..agent.incarnation import Incarnation
from .native_life import NativeLife


class NativeAgent(AgentActor):
    """Holds the life of an object that a factory makes."""

    runs_foreign_code: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(self._begin_native)

    def wants_to_end(self, wish: SystemExit | KeyboardInterrupt) -> None:
        """As if its `run()` had raised it; the error may reach `run()` too."""
        self._native.end_over(wish)

    def _begin_native(self, incarnation: Incarnation) -> NativeLife:
        self._native = NativeLife(incarnation)
        return self._native
