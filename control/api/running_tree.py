"""What the control API needs of the launcher that it belongs to, and of the launcher's link to the registry."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from suptree.actors.events.picture import Picture
from suptree.supervisors.spec.tree_spec import SupervisorSpec

from ..refusals import Refusals
from ..stop_requests import Asks
from ..trees.paths import TreePaths


class RegistryLink(Protocol):
    """A mirror of the registry's picture, its events, and the way for commands."""

    picture: Picture
    events: deque[dict[str, Any]]
    ready: asyncio.Event
    journal: dict[str, Any]
    """How many events are missing from the journal or wait for it, and why: see `Journal.state`."""

    @property
    def seq(self) -> int:
        """The number of the last event that the mirror contains."""

    @property
    def age(self) -> float:
        """How many seconds old the mirror may be, as far as is known without asking."""

    async def ask(
        self,
        operation: str,
        target: str,
        arguments: dict[str, Any] | None = None,
        *,
        limit: float,
        hear: Callable[[Any], None] | None = None,
    ) -> dict[str, Any]:
        """Send a command and return its answer (`answer`, `value`, `seq`); raises RequestTimeout after `limit` seconds."""

    def known(self, after: int) -> list[dict[str, Any]]:
        """The events with a number above `after` that are kept; how many are not comes first."""

    def follow(self, after: int) -> AsyncIterator[dict[str, Any]]:
        """Every event with a number above `after`, as they come."""


class RunningTree(Protocol):
    """The tree that the API is about; `listen` is its address on TCP, `started_at` a monotonic time."""

    started_at: float
    paths: TreePaths
    refusals: Refusals

    @property
    def link(self) -> RegistryLink:
        """The way to the registry."""

    @property
    def listen(self) -> str | None:
        """Where the control API is served on TCP too (`IP:PORT`)."""

    @property
    def pids(self) -> Mapping[str, int]:
        """The processes of the tree's foundation, by name."""

    @property
    def root(self) -> SupervisorSpec | None:
        """The root supervisor as the tree file has it, with all below it; None without a file."""

    def file_differs(self) -> str | None:
        """In what the tree file differs from what runs; it may have to be read, so call it outside an event loop."""

    def ask_to_stop(self, asks: Asks) -> None:
        """Begin to stop the tree in order; a second request ends the grace of what still stops."""
