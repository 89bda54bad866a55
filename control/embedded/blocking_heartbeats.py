"""The heartbeats of agents, for programs without asyncio."""

from collections.abc import Callable, Coroutine
from typing import Any

from .heartbeat_service import Heartbeat, HeartbeatService


class BlockingHeartbeatService:
    """The methods of `HeartbeatService` without `await`; what each does is written there."""

    def __init__(
        self,
        service: Callable[[], HeartbeatService],
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        know: Callable[[Callable[[], None]], None],
    ) -> None:
        self._service = service
        self._run = run
        self._know = know

    def get(self, agent_id: str) -> Heartbeat | None:
        """See `HeartbeatService.get`."""
        found: Heartbeat | None = self._run(self._service().get(agent_id))
        return found

    def get_all(self) -> dict[str, Heartbeat]:
        """See `HeartbeatService.get_all`."""
        return dict(self._run(self._service().get_all()))

    def update(self, agent_id: str, status: str | None = None) -> None:
        """See `HeartbeatService.update`."""
        self._know(lambda: self._service().update(agent_id, status))
