"""What an agent is: everything that its actor needs to run it."""

import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from ..errors import SpecError
from ..exits import ExitClass
from ..state import AgentType

Limit = tuple[int, int]
"""Soft and hard; -1 is none."""

RLIMITS = {
    name.removeprefix("RLIMIT_").lower(): number
    for name, number in vars(resource).items()
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
}
"""What `rlimits` may bound, by systemd's names (`LimitNOFILE=` is `nofile`)."""


def fault_of_variable(name: str) -> str | None:
    """What is wrong with the name of a variable, if anything: a program that lists its environment would show others than there are."""
    if name and "=" not in name and name.isprintable():
        return None
    return "the name of an environment variable is not empty, and has no =, no line break and no other control character in it"


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


LEAST_INTERVAL = 0.01
"""Seconds between two things that an actor does again and again: with less it would do nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSpec:
    """When silence counts; all in seconds."""

    interval: float = 1.0
    suspect_after: float = 5.0
    dead_after: float = 10.0
    startup_timeout: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.interval < self.suspect_after <= self.dead_after:
            raise SpecError(
                "heartbeat: 0 < interval < suspect_after <= dead_after must hold (a ping that is due is no silence),"
                f" not interval={self.interval}, suspect_after={self.suspect_after}, dead_after={self.dead_after}"
            )
        if self.interval < LEAST_INTERVAL:
            raise SpecError(f"heartbeat: interval must be at least {LEAST_INTERVAL} seconds, not {self.interval}")
        if not self.startup_timeout > 0:
            raise SpecError(f"heartbeat: startup_timeout must be above 0 seconds, not {self.startup_timeout}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSpec:
    """The rungs of the stop ladder: how many seconds each may take; 0 skips the rung. SIGKILL is the last and needs no time.

    `extend_at_most` bounds by how many seconds `EXTEND_TIMEOUT_USEC=` puts off any deadline of the agent: of its stop, its start and its
    `max_runtime`. systemd has no such bound, but there a person decides what a unit runs; an agent may do what nobody has foreseen.
    """

    cancel: float = 2.0
    sigint: float = 2.0
    sigterm: float = 5.0
    extend_at_most: float = 300.0

    def __post_init__(self) -> None:
        for name, seconds in asdict(self).items():
            if not seconds >= 0:
                raise SpecError(f"stop: {name} must be 0 seconds or more, not {seconds}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """What one incarnation may use at most: bytes of memory, seconds of life, bytes of output, processes, CPUs; None is no limit.

    `memory_max`, `pids_max` and `cpu_max` are of all its processes together (systemd: `MemoryMax=`, `TasksMax=`, `CPUQuota=`); a `cpu_max`
    of 1.0 is one whole CPU.
    """

    memory_max: int | None = None
    pids_max: int | None = None
    cpu_max: float | None = None
    max_runtime: float | None = None
    max_output: int | None = None

    def __post_init__(self) -> None:
        for name, limit in asdict(self).items():
            if limit is not None and not 0 < limit < 2**63:
                raise SpecError(f"limits: {name} must be above 0 and below 2**63, not {limit}")


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
class ProbeSpec:
    """How a program is asked from outside whether it is well (Kubernetes: `livenessProbe`); without any of the first three it is not.

    `exec` is an argv whose exit status 0 says so, `http_get` a URL that answers 200 to 399, `tcp_socket` a `host:port` that takes a
    connection. Times are in seconds; so many failures in a row as `failure_threshold` says make the program unhealthy.
    """

    exec: tuple[str, ...] = ()
    http_get: str | None = None
    tcp_socket: str | None = None
    period: float = 10.0
    timeout: float = 1.0
    failure_threshold: int = 3
    success_threshold: int = 1
    initial_delay: float = 0.0

    def __post_init__(self) -> None:
        if sum(map(bool, (self.exec, self.http_get, self.tcp_socket))) > 1:
            raise SpecError("liveness_probe: exec, http_get and tcp_socket exclude each other: give one")
        if not (self.period > 0 and self.timeout > 0 and self.initial_delay >= 0 and self.failure_threshold >= 1):
            raise SpecError("liveness_probe: period and timeout must be above 0, initial_delay 0 or more, failure_threshold 1 or more")
        if self.success_threshold != 1:
            raise SpecError("liveness_probe: success_threshold must be 1, as in Kubernetes: one success makes a program healthy")
        for url in filter(None, (self.http_get, self.tcp_socket and f"http://{self.tcp_socket}")):
            _check_address(url, needs_port=bool(self.tcp_socket))

    @property
    def is_set(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self.exec or self.http_get or self.tcp_socket)


def _check_address(url: str, *, needs_port: bool) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        local = host == "localhost" or bool(ip_address(host))
    except ValueError:
        local, port = False, None
    good = local and parts.scheme == "http" and url.isascii() and url.isprintable() and " " not in url and (port or not needs_port)
    if not good:
        wanted = "tcp_socket: must be host:port" if needs_port else "http_get: must begin with http://"
        raise SpecError(f'liveness_probe: {wanted}, its host "localhost" or an IP address; for anything else use exec')


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSpec:
    """After how many seconds without output, `STATUS=` or CPU time an agent is shown as stalled, and ended as `hung`; None is never."""

    warn_after: float | None = None
    restart_after: float | None = None

    def __post_init__(self) -> None:
        for name, seconds in (("warn_after", self.warn_after), ("restart_after", self.restart_after)):
            if seconds is not None and not seconds > 0:
                raise SpecError(f"progress: {name} must be above 0 seconds, not {seconds}")
        if self.warn_after is not None and self.restart_after is not None and self.warn_after > self.restart_after:
            raise SpecError(f"progress: warn_after={self.warn_after} must not be above restart_after={self.restart_after}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """One agent. A `process_wrapper` needs `command`; a `native_llm` needs `factory` (`package.module:attribute`).

    `watchdog` says that the program itself must ping (`WATCHDOG=1`) within `heartbeat.dead_after`, as under systemd's `WatchdogSec=`;
    without it only its actor is watched. `exit_codes` classes exit statuses as this program means them. An exit within `min_uptime`
    seconds is marked `during_start` (supervisord: `startsecs`). A native agent that offers checkpoints is asked for one every
    `checkpoint_interval` seconds. `config` is handed to a native agent's factory unread.

    `inherited` is what of the launching environment its table names (`env_inherit`), `env_from` a file of more, read at each start. `user`
    (`name` or `name:group`), `umask`, `no_new_privs` and `rlimits` confine all its processes; None leaves what suptree was started with.
    """

    agent_id: str
    agent_type: AgentType
    name: str = ""
    role: str = ""
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    factory: str | None = None
    command: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    env_from: str | None = None
    inherited: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = None
    umask: int | None = None
    no_new_privs: bool = False
    rlimits: Mapping[str, Limit] = field(default_factory=dict)
    stdin: Stdin = Stdin.NULL
    ready: Ready = Ready.STARTED
    watchdog: bool = False
    heartbeat: HeartbeatSpec = HeartbeatSpec()
    stop: StopSpec = StopSpec()
    limits: LimitSpec = LimitSpec()
    hooks: HookSpec = field(default=HookSpec(), repr=False)
    liveness_probe: ProbeSpec = field(default=ProbeSpec(), repr=False)
    progress: ProgressSpec = ProgressSpec()
    exit_codes: Mapping[int, ExitClass] = field(default_factory=dict)
    min_uptime: float = 1.0
    checkpoint_interval: float = 1.0
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.agent_type is AgentType.PROCESS_WRAPPER and not self.command:
            raise SpecError(f"{self.agent_id}: a process_wrapper needs a command")
        if self.agent_type is AgentType.NATIVE_LLM and not self.factory:
            raise SpecError(f'{self.agent_id}: a native_llm needs a factory ("package.module:attribute")')
        if self.agent_type is AgentType.NATIVE_LLM and self.user is not None:
            raise SpecError(f"{self.agent_id}: a native_llm runs as the user of its tree")
        for fault in filter(None, map(fault_of_variable, self.env)):
            raise SpecError(f"{self.agent_id}: env: {fault}")
        if self.umask is not None and not 0 <= self.umask <= 0o777:
            raise SpecError(f"{self.agent_id}: umask must be from 0 to 0o777, not {self.umask:#o}")
        for name, (soft, hard) in self.rlimits.items():
            if name not in RLIMITS or min(soft, hard) < -1 or -1 < hard < soft or hard != -1 == soft:
                raise SpecError(f"{self.agent_id}: rlimits.{name} must be a known limit, soft not above hard, not {soft}:{hard}")
        if not all(0 <= code <= 255 for code in self.exit_codes):
            raise SpecError(f"{self.agent_id}: exit_codes: an exit status is a whole number from 0 to 255")
        if self.checkpoint_interval < LEAST_INTERVAL:
            raise SpecError(
                f"{self.agent_id}: checkpoint_interval must be at least {LEAST_INTERVAL} seconds, not {self.checkpoint_interval}"
            )
