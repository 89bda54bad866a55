"""The tables inside an agent's table: `heartbeat`, `stop`, `limits`, `rlimits`, `hooks`, `liveness_probe`, `progress`, `backoff`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, create_model, model_validator

from suptree.actors.spec.agent_spec import RLIMITS, HeartbeatSpec, HookSpec, Limit, LimitSpec, ProbeSpec, ProgressSpec, StopSpec

from ..spec.child_spec import Backoff
from .agent_values import Argv, Bytes, LimitOfBytes, LimitOfCount, Text
from .config_problems import Table, wrong_kind
from .supervisor_config import Seconds, SecondsOrNone


class HeartbeatTable(Table):
    """`heartbeat`: what is not given follows from what is, so that `{ dead_after = 30 }` is enough."""

    interval: Seconds | None = None
    suspect_after: Seconds | None = None
    dead_after: Seconds | None = None
    startup_timeout: Seconds | None = None

    @model_validator(mode="after")
    def _spec_takes_it(self) -> Self:
        self.spec()
        return self

    def spec(self) -> HeartbeatSpec:
        """Dead after 10 s (or later, when the others ask for it), suspect after half of that or two pings, five pings before suspicion."""
        default = HeartbeatSpec()
        dead = self.dead_after or max(default.dead_after, 2 * (self.suspect_after or 0), 4 * (self.interval or 0))
        suspect = self.suspect_after or min(dead, max(dead / 2, 2 * (self.interval or 0)))
        interval = self.interval or min(default.interval, suspect / 5)
        startup = self.startup_timeout or default.startup_timeout
        return HeartbeatSpec(interval=interval, suspect_after=suspect, dead_after=dead, startup_timeout=startup)


class StopTable(Table):
    """`stop`: seconds for each rung of the stop ladder, 0 skips the rung; and how long the agent may put off its deadlines."""

    cancel: SecondsOrNone = StopSpec().cancel
    sigint: SecondsOrNone = StopSpec().sigint
    sigterm: SecondsOrNone = StopSpec().sigterm
    extend_at_most: SecondsOrNone = StopSpec().extend_at_most

    hints: ClassVar = {"sigkill": "SIGKILL is the last rung and needs no time"}

    def spec(self) -> StopSpec:
        """The times as the agent's actor takes them."""
        return StopSpec(**self.model_dump())


class LimitsTable(Table):
    """`limits`: sizes in bytes or as "2G", time in seconds, `cpu_max` in CPUs."""

    memory_max: Bytes | None = None
    pids_max: Annotated[int, Field(ge=1)] | None = None
    cpu_max: Annotated[float, Field(ge=0.01, le=100_000)] | None = None
    max_runtime: Seconds | None = None
    max_output: Bytes | None = None

    hints: ClassVar = {"tasks_max": "here it is pids_max", "cpu_quota": 'here it is cpu_max: 1.5 is what systemd calls "150%"'}

    def spec(self) -> LimitSpec:
        """The limits as the agent's actor takes them."""
        return LimitSpec(**self.model_dump())


_LIMITS_OF_BYTES = ("fsize", "data", "stack", "core", "rss", "as", "memlock", "msgqueue")

_limits: Any = {name: ((LimitOfBytes if name in _LIMITS_OF_BYTES else LimitOfCount) | None, None) for name in RLIMITS}
# One of the names, `as`, cannot be written in a class.
_ByName: Any = create_model("_ByName", __base__=Table, **_limits)


class RlimitsTable(_ByName):  # type: ignore[misc]  # made of the limits that this kernel has
    """`rlimits`: by systemd's names, each one number for both limits or `soft:hard`."""

    @property
    def limits(self) -> dict[str, Limit]:
        """Those that are given."""
        return dict(self.model_dump(exclude_none=True))


class HooksTable(Table):
    """`hooks`: each an argv list; `timeout` in seconds."""

    pre_stop: Argv = ()
    post_exit: Argv = ()
    timeout: Seconds = HookSpec().timeout

    @property
    def seconds(self) -> float:
        """How long its hooks may take in all."""
        return self.timeout * (bool(self.pre_stop) + bool(self.post_exit))


class ProbeTable(Table):
    """`liveness_probe`: the words are Kubernetes'; times in seconds."""

    exec: Argv = ()
    http_get: Text | None = None
    tcp_socket: Text | None = None
    period: Seconds = ProbeSpec().period
    timeout: Seconds = ProbeSpec().timeout
    failure_threshold: Annotated[int, Field(ge=1)] = ProbeSpec().failure_threshold
    success_threshold: int = ProbeSpec().success_threshold
    initial_delay: SecondsOrNone = ProbeSpec().initial_delay

    hints: ClassVar = {
        "periodSeconds": "here it is period",
        "timeoutSeconds": "here it is timeout",
        "initialDelaySeconds": "here it is initial_delay",
        "failureThreshold": "here it is failure_threshold",
    }

    @model_validator(mode="after")
    def _spec_takes_it(self) -> Self:
        if not self.spec().is_set:
            raise ValueError("needs one of exec, http_get and tcp_socket")
        return self

    def spec(self) -> ProbeSpec:
        """The probe as the agent's actor takes it."""
        return ProbeSpec(**self.model_dump())


class ProgressTable(Table):
    """`progress`: in seconds."""

    warn_after: Seconds | None = None
    restart_after: Seconds | None = None

    @model_validator(mode="after")
    def _spec_takes_it(self) -> Self:
        self.spec()
        return self

    def spec(self) -> ProgressSpec:
        """The times as the agent's actor takes them."""
        return ProgressSpec(warn_after=self.warn_after, restart_after=self.restart_after)


class BackoffTable(Table):
    """`backoff`: all in seconds."""

    base: Seconds = Backoff().base
    cap: Seconds = Backoff().cap
    healthy_after: Seconds = Backoff().healthy_after

    @model_validator(mode="after")
    def _spec_takes_it(self) -> Self:
        self.spec()
        return self

    def spec(self) -> Backoff:
        """The delays as the core takes them."""
        return Backoff(base=self.base, cap=self.cap, healthy_after=self.healthy_after)


def _backoff_table(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else None
    if not isinstance(value, Mapping):
        raise wrong_kind("true, false or a table of base, cap and healthy_after", value)
    return value


BackoffOrNot = Annotated[BackoffTable | None, BeforeValidator(_backoff_table)]
"""`true` is a table of defaults, `false` is none."""
