"""The actors around a supervisor: the supervisor above, the supervisors directly below, the registry and the heartbeat actor."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from thespian.actors import ActorAddress

from suptree.actors.base.channel import Outbox
from suptree.actors.base.messages import Services
from suptree.actors.events.event_types import Kind

from .children import Children


class Above(NamedTuple):
    """The supervisor above."""

    pid: int
    channel: Outbox


class Neighbours:
    """Knows the addresses of the actors around a supervisor, and sends them its messages.

    `open_channel` opens a channel to an address. `new_registry` and `new_heartbeat` are called when there is another one than before.
    """

    def __init__(
        self,
        children: Children,
        above: Above | None,
        open_channel: Callable[[ActorAddress], Outbox],
        *,
        new_registry: Callable[[], None],
        new_heartbeat: Callable[[], None],
    ) -> None:
        self._children = children
        self._above = above
        self._open_channel = open_channel
        self._new_registry = new_registry
        self._new_heartbeat = new_heartbeat
        self.services = Services()
        self.registry: Outbox | None = None
        self.heartbeat: Outbox | None = None

    def use(self, services: Services) -> None:
        """Learn where registry and heartbeat actor are now, and pass it on."""
        before, self.services = self.services, services
        is_new_registry = services.registry is not None and services.registry != before.registry
        is_new_heartbeat = services.heartbeat is not None and services.heartbeat != before.heartbeat
        if services.registry is None or is_new_registry:
            self.registry = self._channel_to(services.registry)
        if services.heartbeat is None or is_new_heartbeat:
            self.heartbeat = self._channel_to(services.heartbeat)
        for child in self._children.values():
            if child.kind is Kind.SUPERVISOR:
                child.channel.tell(services)
        if is_new_heartbeat:
            self._new_heartbeat()
        if is_new_registry:
            self._new_registry()

    def service_is_up(self, name: str, address: ActorAddress) -> None:
        """A service that is a child of this supervisor runs: tell the tree where, and the registry too."""
        self.use(replace(self.services, **{name: address}))
        self.tell_registry(self.services)

    def service_is_gone(self, name: str) -> None:
        """A service that is a child of this supervisor is dead: nobody is to wait for its answers."""
        self.use(replace(self.services, **{name: None}))

    def tell_registry(self, message: Any) -> bool:
        """Send the registry a message, if there is a registry: whether there is."""
        if self.registry is None:
            return False
        self.registry.tell(message)
        return True

    def pass_on(self, message: Any, origin: int | None) -> None:
        """Send a message to the supervisors above and directly below, but not to the one with the pid `origin`."""
        above = [] if self._above is None else [self._above]
        below = [(child.pid, child.channel) for child in self._children.values() if child.kind is Kind.SUPERVISOR]
        for pid, channel in (*above, *below):
            if pid != origin:
                channel.tell(message)

    def _channel_to(self, address: ActorAddress | None) -> Outbox | None:
        return None if address is None else self._open_channel(address)
