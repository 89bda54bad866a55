"""What an agent is: everything that its actor needs to run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import SpecError
from .exits import ExitClass
from .state import AgentType


class Ready(StrEnum):
    """When an agent counts as running."""

    STARTED = "started"
    """As soon as it has started (systemd: `Type=exec`)."""
    NOTIFY = "notify"
    """When it says `READY=1` (systemd: `Type=notify`)."""


class Stdin(StrEnum):
    """What a program reads as its stdin."""

    NULL = "null"
    """Nothing: /dev/null."""
    PIPE = "pipe"
    """A pipe, which `tell` writes to."""
    PTY = "pty"
    """A terminal, which `tell` writes to, and which its output goes to as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSpec:
    """When silence counts; all in seconds."""

    interval: float = 1.0
    suspect_after: float = 5.0
    dead_after: float = 10.0
    startup_timeout: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.interval <= self.suspect_after <= self.dead_after:
            raise SpecError(
                "heartbeat: 0 < interval <= suspect_after <= dead_after must hold,"
                f" not interval={self.interval}, suspect_after={self.suspect_after}, dead_after={self.dead_after}"
            )
        if not self.startup_timeout > 0:
            raise SpecError(f"heartbeat: startup_timeout must be above 0 seconds, not {self.startup_timeout}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSpec:
    """The rungs of the stop ladder: how many seconds each may take; 0 skips the rung. SIGKILL is the last and needs no time."""

    cancel: float = 2.0
    sigint: float = 2.0
    sigterm: float = 5.0

    def __post_init__(self) -> None:
        for rung in ("cancel", "sigint", "sigterm"):
            if not getattr(self, rung) >= 0:
                raise SpecError(f"stop: {rung} must be 0 seconds or more, not {getattr(self, rung)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """What one incarnation may use at most: bytes of memory, seconds of life, bytes of output; None is no limit."""

    memory_max: int | None = None
    max_runtime: float | None = None
    max_output: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSpec:
    """Programs that run beside the agent's, each as argv and for at most `timeout` seconds; empty is none.

    `pre_stop` runs before a stop's first signal (Kubernetes: `preStop`), `post_exit` after every exit, however it came (systemd:
    `ExecStopPost=`), with `SUPTREE_EXIT_CLASS` and `SUPTREE_EXIT_REASON` in its environment. Neither runs when the actor itself was killed.
    """

    pre_stop: tuple[str, ...] = ()
    post_exit: tuple[str, ...] = ()
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise SpecError(f"hooks: timeout must be above 0 seconds, not {self.timeout}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """One agent. A `process_wrapper` needs `command`; a `native_llm` needs `factory` (`package.module:attribute`).

    `watchdog` says that the program itself must ping (`WATCHDOG=1`) within `heartbeat.dead_after`, as under systemd's `WatchdogSec=`;
    without it only its actor is watched. `exit_codes` classes exit statuses as this program means them. An exit within `min_uptime`
    seconds is marked `during_start` (supervisord: `startsecs`). `config` is handed to a native agent's factory unread.
    """

    agent_id: str
    agent_type: AgentType
    name: str = ""
    role: str = ""
    model: str = ""
    factory: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: Stdin = Stdin.NULL
    ready: Ready = Ready.STARTED
    watchdog: bool = False
    heartbeat: HeartbeatSpec = HeartbeatSpec()
    stop: StopSpec = StopSpec()
    limits: LimitSpec = LimitSpec()
    hooks: HookSpec = HookSpec()
    exit_codes: Mapping[int, ExitClass] = field(default_factory=dict)
    min_uptime: float = 1.0
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.agent_type is AgentType.PROCESS_WRAPPER and not self.command:
            raise SpecError(f"{self.agent_id}: a process_wrapper needs a command")
        if self.agent_type is AgentType.NATIVE_LLM and not self.factory:
            raise SpecError(f'{self.agent_id}: a native_llm needs a factory ("package.module:attribute")')
