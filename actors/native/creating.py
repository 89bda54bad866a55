"""Creating a native agent: its process is confined, its factory called, its last checkpoint restored."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..agent.confinement import CannotConfine
from ..agent.hunger import bound_without_group
from ..agent.incarnation import Incarnation
from ..exits import Exit, ExitClass
from .agent_code import call
from .agent_errors import AgentErrors
from .checkpoint_file import CheckpointFile
from .checkpoint_schedule import CheckpointSchedule
from .factory import call_factory
from .status_report import report_statuses


@dataclass(frozen=True, slots=True)
class Created:
    """An agent that its factory made, with the state of its last checkpoint."""

    agent: Any
    checkpoints: CheckpointSchedule


@dataclass(frozen=True, slots=True)
class Plan:
    """What an agent is made of: the arguments of its factory, and where its checkpoints are kept."""

    factory: str
    arguments: tuple[str, str, str, str, dict[str, Any]]
    store: CheckpointFile
    checkpoint_interval: float
    checkpoint_limit: float

    @classmethod
    def of(cls, incarnation: Incarnation) -> "Plan":
        """As the spec of an agent says."""
        spec, begin = incarnation.spec, incarnation.begin
        assert spec.factory is not None  # noqa: S101  (the spec refuses to be built without)
        return cls(
            spec.factory,
            (begin.id, spec.name or begin.id, spec.role, spec.model, dict(spec.config)),
            CheckpointFile(begin.context.state_dir, begin.id, begin.incarnation, spec.factory),
            spec.checkpoint_interval,
            spec.heartbeat.dead_after,
        )


def confine(incarnation: Incarnation) -> None:
    """This process is the agent's own from here on. Raises CannotConfine."""
    if incarnation.refusal is not None:
        raise CannotConfine(incarnation.refusal)
    os.environ.clear()
    os.environ.update(incarnation.environment)
    incarnation.confinement.enter()
    bound_without_group(incarnation.spec.limits, frozenset(), os.geteuid())()
    sys.path[:0] = [entry for entry in incarnation.context.sys_path if entry not in sys.path]


async def create(
    plan: Plan, *, errors: AgentErrors, confine: Callable[[], None], report_status: Callable[[str], None], note: Callable[[str], None]
) -> Created | Exit | None:
    """The agent; the Exit of one that cannot begin; or None, when its factory makes none (OTP: `ignore`).

    Nothing that the agent's code may raise leaves this. `report_status` is called with what the agent says in `update_heartbeat`.
    """
    try:
        confine()
        while True:
            agent = await call(call_factory, plan.factory, plan.arguments)
            if agent is None:
                return None
            try:
                report_statuses(agent, report_status)
            except TypeError:
                note("what it says with update_heartbeat() is not shown: nothing can be put on it")
            checkpoints = CheckpointSchedule(
                agent, plan.store, interval=plan.checkpoint_interval, limit=plan.checkpoint_limit, describe=errors.describe, say=note
            )
            # One that could not be restored is set aside; another agent is made, without.
            if await checkpoints.restore():
                return Created(agent, checkpoints)
    except CannotConfine as refusal:
        return Exit(ExitClass.PERMANENT, str(refusal))
    except BaseException as error:  # noqa: BLE001  (a user's code may raise anything)
        return errors.exit_of(error)
