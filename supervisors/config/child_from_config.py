"""What a program gives to start one child: the keys of a table of the tree file, with defaults for programs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from suptree.actors.errors import ConfigError, SpecError
from suptree.actors.state import AgentType

from ..spec.child_spec import ChildSpec, RestartType
from ..spec.ids import RESERVED_IDS, fault_of_id
from ..spec.tree_spec import SupervisorSpec
from .agent_config import AgentTable
from .agent_values import has_surrogate
from .config_problems import Problem, kind_of
from .supervisor_config import SupervisorTable

DEFAULT_FACTORY = "suptree.actors:NativeLLMAgentFactory"


class AgentConfig(AgentTable):
    """What a program gives to start one agent: not restarted unless it says so, and then quarantined after three restarts."""

    max_restarts: Annotated[int, Field(ge=0)] | None = 3

    default_restart: ClassVar = RestartType.TEMPORARY


def agent_child_from_config(agent_id: str, agent_type: AgentType | str, config: Mapping[str, Any], base_dir: Path | str) -> ChildSpec:
    """The child spec of an agent that a program starts; `config` knows the keys of the tree file's agent table.

    A key whose value is None counts as not given. Without `auto_restart` or `restart` the agent is not restarted; without `factory` a
    `native_llm` is an LLMAgent.

    Raises:
        ConfigError: with every fault of the configuration.
    """
    source = f"agent {agent_id}"
    if not isinstance(config, Mapping):
        raise ConfigError(source, [("config", f"must be a mapping, not {kind_of(config)}")])
    problems = _problems_of_id("agent_id", agent_id)
    if "type" in config:
        problems.append(Problem(("type",), "is given beside the configuration, not in it"))
    raw = {key: value for key, value in config.items() if value is not None} | {"type": agent_type}
    if agent_type == AgentType.NATIVE_LLM:
        raw.setdefault("factory", DEFAULT_FACTORY)
    # pydantic cannot say where such a key stands.
    for key in [key for key in raw if isinstance(key, str) and has_surrogate(key)]:
        problems.append(Problem((key,), "unknown key"))
        del raw[key]
    folder = Path(base_dir).absolute()
    table, faults = AgentConfig.read(raw, {"base_dir": folder})
    problems += [Problem(("agent_type",), fault.what) if fault.path == ("type",) else fault for fault in faults]
    if problems:
        raise ConfigError(source, [(problem.place, problem.what) for problem in problems])
    try:
        return table.child(agent_id, folder, os.environ)
    except SpecError as error:
        raise ConfigError(source, [("config", str(error))]) from error


def supervisor_child_from_config(supervisor_id: str, config: Mapping[str, Any]) -> ChildSpec:
    """The child spec of a supervisor without children that a program starts; `config` knows the keys of `[supervisors.ID]`.

    A key whose value is None counts as not given. Raises ConfigError with every fault of the configuration.
    """
    source = f"supervisor {supervisor_id}"
    problems = _problems_of_id("supervisor_id", supervisor_id)
    table, faults = SupervisorTable.read({key: value for key, value in config.items() if value is not None}, {})
    problems += faults
    if not problems:
        try:
            return table.child(SupervisorSpec(id=supervisor_id, flags=table.flags()))
        except SpecError as error:
            problems.append(Problem(("config",), str(error)))
    raise ConfigError(source, [(problem.place, problem.what) for problem in problems])


def _problems_of_id(place: str, child_id: str) -> list[Problem]:
    fault = fault_of_id(child_id) or (f'"{child_id}" is reserved' if child_id in RESERVED_IDS else None)
    return [Problem((place,), fault)] if fault else []
