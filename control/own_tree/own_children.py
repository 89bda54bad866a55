"""Starting, stopping and forgetting the children of an embedded tree, with the configurations that a program gave them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from suptree.actors import AgentType
from suptree.actors.errors import AlreadyPresent, NoSuchAgent, NotRunning, SuptreeError
from suptree.actors.events.picture import Row, is_alive
from suptree.actors.output.printable import printable
from suptree.supervisors.config.child_from_config import agent_child_from_config, supervisor_child_from_config
from suptree.supervisors.spec.child_spec import ChildSpec
from suptree.supervisors.spec.ids import ROOT

from .embedded_tree import EmbeddedTree
from .kept_config import copied

log = logging.getLogger("suptree.control")


class Children:
    """Carries out what a program wants of the children; each refusal is a warning in the log and False."""

    def __init__(self, tree: EmbeddedTree) -> None:
        self._tree = tree
        self._configs: dict[str, dict[str, Any]] = {}

    def config(self, agent_id: str) -> dict[str, Any] | None:
        """What the program gave for an agent that it started."""
        return self._configs.get(agent_id)

    async def start_agent(self, agent_id: str, agent_type: AgentType | str, config: Mapping[str, Any]) -> bool:
        """See `ProcessManager.start_agent`."""
        try:
            kept = copied(agent_id, config)
            await self._start(lambda: agent_child_from_config(agent_id, agent_type, kept, Path.cwd()), kept)
        except (SuptreeError, OSError) as refusal:
            warn("could not start agent", agent_id, refusal)
            return False
        self._configs[agent_id] = kept
        self._tree.forget_agent(agent_id)
        return True

    async def start_supervisor(self, supervisor_id: str, config: Mapping[str, Any]) -> bool:
        """See `ProcessManager.start_supervisor`."""
        try:
            await self._start(lambda: supervisor_child_from_config(supervisor_id, config), config)
        except (SuptreeError, OSError) as refusal:
            warn("could not start supervisor", supervisor_id, refusal)
            return False
        return True

    async def add(self, spec: ChildSpec) -> None:
        """Start a child of the root supervisor, with all below it. Raises SuptreeError when it cannot start."""
        async with self._tree.alone():
            mirror = await self._tree.join(launch=True)
        await mirror.carry_out(mirror.client.start_new(spec, ROOT))

    async def stop(self, child_id: str, *, graceful: bool) -> bool:
        """See `ProcessManager.stop_agent`."""
        try:
            async with self._tree.alone():
                mirror = await self._tree.join()
            row = mirror.picture.rows.get(child_id)
            if row is None or not (is_alive(row) or _comes_back(row)):
                return False
            await mirror.carry_out(mirror.client.stop(child_id, graceful=graceful))
        except NotRunning:
            return False
        except SuptreeError as refusal:
            warn("could not stop", child_id, refusal)
            return False
        return True

    async def restart(self, agent_id: str) -> bool:
        """See `ProcessManager.restart_agent`."""
        try:
            async with self._tree.alone():
                mirror = await self._tree.join()
            row = self._tree.agents().get(agent_id)
            if row is None:
                raise NoSuchAgent(f"no agent {agent_id!r} in the tree")
            try:
                await mirror.carry_out(mirror.client.restart(agent_id))
            except NoSuchAgent:
                # The supervisor that knew it is gone; what ran in an earlier tree is only remembered.
                if agent_id not in {row["id"] for row in mirror.picture.of_kind("agent")} & self._configs.keys():
                    raise
                return await self.start_agent(agent_id, row["type"], self._configs[agent_id])
        except SuptreeError as refusal:
            warn("could not restart agent", agent_id, refusal)
            return False
        return True

    async def delete(self, child_id: str) -> bool:
        """See `ProcessManager.delete_agent`."""
        try:
            async with self._tree.alone():
                mirror = await self._tree.join()
            await mirror.carry_out(mirror.client.delete(child_id))
        except SuptreeError as refusal:
            if not (isinstance(refusal, NotRunning | NoSuchAgent) and await self._tree.delete_past(child_id)):
                warn("could not delete", child_id, refusal)
                return False
        self._configs.pop(child_id, None)
        self._tree.forget_agent(child_id)
        return True

    async def _start(self, make: Callable[[], ChildSpec], config: Mapping[str, Any]) -> None:
        async with self._tree.alone():
            await asyncio.sleep(0)  # Of many starts together each begins in a turn of the loop of its own.
            spec = make()
            supervisor = config.get("supervisor") or ROOT
            mirror = await self._tree.join(launch=True)
        try:
            await mirror.carry_out(mirror.client.start_new(spec, supervisor))
        except AlreadyPresent:
            # The child is replaced, not given up: what it has kept is for the next one.
            await mirror.carry_out(mirror.client.delete(spec.id, keep_checkpoint=True))
            await mirror.carry_out(mirror.client.start_new(spec, supervisor))


def warn(what: str, child_id: object, refusal: Exception) -> None:
    """Log a refusal, in a line that every terminal can show."""
    log.warning("%s %s: %s", what, printable(str(child_id)), printable(str(refusal)))


def _comes_back(row: Row) -> bool:
    return row["until"] is not None or row["waiting_for"] is not None
