"""The keys of an agent's and a supervisor's table as types, so that an editor completes them and a type checker compares them."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict, Unpack

from suptree.actors import AgentType

Path = str | PathLike[str]
RestartWord = Literal["permanent", "transient", "temporary"]


class CommonKeys(TypedDict, total=False):
    """What every agent may be given; `docs/processes.md` says what each means. Times are seconds, sizes bytes."""

    supervisor: str | None
    name: str | None
    role: str | None
    model: str | None
    labels: Mapping[str, str] | None
    cwd: Path | None
    env: Mapping[str, str] | None
    env_from: Path | None
    env_inherit: Sequence[str] | None
    umask: int | str | None
    no_new_privs: bool | None
    rlimits: Mapping[str, Any] | None
    restart: RestartWord | None
    auto_restart: bool | None
    significant: bool | None
    max_restarts: int | None
    backoff: bool | Mapping[str, Any] | None
    healthy_after: float | None
    hold: bool | None
    park: bool | None
    quota_group: str | None
    ready: Literal["started", "notify"] | None
    heartbeat: Mapping[str, float] | None
    stop: Mapping[str, Any] | None
    limits: Mapping[str, Any] | None
    progress: Mapping[str, Any] | None
    min_uptime: float | None


class ProgramKeys(CommonKeys, total=False):
    """What a `process_wrapper` may be given beside that."""

    command: Path | None
    args: Sequence[str] | None
    user: str | None
    stdin: Literal["null", "pipe", "pty"] | None
    watchdog: bool | None
    hooks: Mapping[str, Any] | None
    liveness_probe: Mapping[str, Any] | None
    exit_codes: Mapping[str, str] | None


class NativeKeys(CommonKeys, total=False):
    """What a `native_llm` may be given beside that, but for `config`."""

    factory: str | None
    checkpoint_interval: float | None


class AgentKeys(ProgramKeys, NativeKeys, total=False):
    """What `start_agent` takes as keyword arguments."""


class SupervisorKeys(TypedDict, total=False):
    """What `start_supervisor` takes as keyword arguments; docs/semantics.md says what each means. Times are seconds."""

    supervisor: str | None
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"] | None
    max_restarts: int | None
    within: float | None
    auto_shutdown: Literal["never", "any_significant", "all_significant"] | None
    on_limit: Literal["escalate", "quarantine"] | None
    restart: RestartWord | None
    significant: bool | None
    shutdown: float | Literal["infinity"] | None


class ProcessAgent:
    """An external program: `ProcessAgent(command="claude", args=["--print"], stdin="pipe")`."""

    agent_type = AgentType.PROCESS_WRAPPER

    def __init__(self, **keys: Unpack[ProgramKeys]) -> None:
        self.config: Mapping[str, Any] = dict(keys)


class NativeAgent:
    """An agent of Python: `NativeAgent(factory="newsroom:Planner", config={"depth": 3})`; without `factory` an LLMAgent."""

    agent_type = AgentType.NATIVE_LLM

    def __init__(self, *, config: Mapping[str, Any] | None = None, **keys: Unpack[NativeKeys]) -> None:
        self.config: Mapping[str, Any] = {**keys, "config": config}
