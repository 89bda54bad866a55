"""`AgentRegistry`: finding agents, and hearing of their changes."""

from collections.abc import Callable, Iterator, Mapping

from suptree.actors import AgentProcess, AgentStatus, AgentType
from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import ChildEvent, Kind

from ..own_tree.callbacks import Callback, Callbacks

Processes = Callable[[], dict[str, AgentProcess]]


class AgentRegistry:
    """The agents of a process manager. It answers immediately, from the events received so far; it never asks an agent."""

    def __init__(self, processes: Processes, callbacks: Callbacks) -> None:
        self._processes = processes
        self._callbacks = callbacks

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self._processes()

    def __iter__(self) -> Iterator[str]:
        return iter(self._processes())

    def __len__(self) -> int:
        return len(self._processes())

    def get(self, agent_id: str) -> AgentProcess | None:
        """The agent with that id as it is now, or None."""
        return self._processes().get(agent_id)

    def find(
        self,
        *,
        agent_id: str | None = None,
        role: str | None = None,
        agent_type: AgentType | str | None = None,
        labels: Mapping[str, str] | None = None,
        status: AgentStatus | str | None = None,
    ) -> list[AgentProcess]:
        """The agents that all given conditions hold for, in the order in which the agents first appeared.

        `labels` are as in Kubernetes' equality-based selectors: an agent has each of them, and may have others. Raises ValueError for a
        type or a status that there is not.
        """
        wanted_type = None if agent_type is None else AgentType(agent_type)
        wanted_status = None if status is None else AgentStatus(status)
        return [
            agent
            for agent in self._processes().values()
            if agent_id in (None, agent.agent_id)
            and role in (None, agent.role)
            and wanted_type in (None, agent.agent_type)
            and wanted_status in (None, agent.status)
            and (labels or {}).items() <= agent.labels.items()
        ]

    def read_through(self, processes: Processes) -> "AgentRegistry":
        """This registry for another thread: `processes` says from there what the agents are."""
        return AgentRegistry(processes, self._callbacks)

    def subscribe(self, callback: Callback[AgentProcess]) -> Callable[[], None]:
        """Call `callback` with an agent as it is after each change; return what ends that. How it is called: see `ProcessManager.on`."""

        def agent_of(entry: Entry) -> AgentProcess | None:
            event = entry.event
            return self._processes().get(event.id) if isinstance(event, ChildEvent) and event.kind is Kind.AGENT else None

        return self._callbacks.add(agent_of, callback)
