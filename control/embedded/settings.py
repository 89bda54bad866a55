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
    """An external program: `ProcessAgent(command="claude", args=["--print"], stdin="pipe")`; `start_agent` takes it in the place of a type.

    Its keys are those of an agent in a tree file, and docs/processes.md says what each means. Times are seconds, sizes bytes.
    what runs: `command`, `args`, `cwd`, `env`, `env_from`, `env_inherit`, `user`, `stdin`, `umask`, `rlimits`, `limits`, `no_new_privs`
    who it is: `name`, `role`, `model`, `labels`, `supervisor`
    restarts: `restart`, `auto_restart`, `max_restarts`, `backoff`, `healthy_after`, `min_uptime`, `significant`
    deaths that a restart does not repair: `hold`, `park`, `quota_group`, `exit_codes`
    life: `ready`, `heartbeat`, `watchdog`, `liveness_probe`, `progress`, `hooks`, `stop`
    """

    agent_type = AgentType.PROCESS_WRAPPER

    def __init__(self, **keys: Unpack[ProgramKeys]) -> None:
        """Keeps the keys; whether they fit together `start_agent` says."""
        self.config: Mapping[str, Any] = dict(keys)


class NativeAgent:
    """An agent of Python: `NativeAgent(factory="newsroom:Planner", config={"depth": 3})`; without `factory` an LLMAgent.

    Its keys are those of an agent in a tree file, and docs/native-agents.md says what each means: `factory`, `config` (what the factory is
    given) and `checkpoint_interval` (seconds), and of a ProcessAgent's keys those that are about no program: not `command`, `args`, `user`,
    `stdin`, `watchdog`, `hooks`, `liveness_probe`, `exit_codes`.
    """

    agent_type = AgentType.NATIVE_LLM

    def __init__(self, *, config: Mapping[str, Any] | None = None, **keys: Unpack[NativeKeys]) -> None:
        """Keeps the keys; whether they fit together `start_agent` says."""
        self.config: Mapping[str, Any] = {**keys, "config": config}
