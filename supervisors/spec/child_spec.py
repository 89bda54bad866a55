"""How a child is started, restarted and stopped, as its supervisor sees it."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from suptree.actors.errors import SpecError


class RestartType(Enum):
    """When a child that ended is started again (OTP: `restart`)."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Strategy(Enum):
    """Which siblings a restart takes along (OTP: `strategy`)."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class AutoShutdown(Enum):
    """When the end of a significant child shuts the supervisor down (OTP 24: `auto_shutdown`)."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class OnLimit(Enum):
    """What exceeding the restart intensity means."""

    ESCALATE = "escalate"
    """OTP's rule: stop the other children and exit with `shutdown`."""
    QUARANTINE = "quarantine"
    """Leave the siblings alone and mark the one child crashed."""


class BrutalKill(Enum):
    """The shutdown that gives a child no time at all (OTP: `brutal_kill`)."""

    BRUTAL_KILL = "brutal_kill"


BRUTAL_KILL = BrutalKill.BRUTAL_KILL
INFINITY = math.inf
# Ten thousand days: beyond it a number of seconds is a slip, and clocks and timers start to misbehave.
MOST_SECONDS = 864_000_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between restarts: the first immediately, restart n after `min(cap, base * 2**(n-2)) * uniform(0.5, 1)` seconds.

    Forgotten after `healthy_after` seconds of uptime.
    """

    base: float = 1.0
    cap: float = 60.0
    healthy_after: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap:
            raise SpecError(f"backoff: base must be above 0 and at most cap, not base={self.base} and cap={self.cap}")
        if self.healthy_after <= 0:
            raise SpecError(f"backoff: healthy_after must be above 0 seconds, not {self.healthy_after}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One child of a supervisor; the defaults are OTP's.

    `shutdown` is in seconds: how long the child may take to stop before it is killed (`INFINITY`, or `BRUTAL_KILL` to kill it immediately).
    `start` is what the supervisor actor needs to start it; the core never looks inside.
    The rest are additions, off by default: `backoff`; `max_restarts`, a limit of this child alone beyond which it is quarantined;
    `healthy_after`, the seconds of life after which its restarts in a row and its failures alike are forgotten (`forgets_after` if None);
    `hold` (do not restart what a restart cannot help, nor a third identical failure); `park` (a quota exit waits and costs no restart) and
    `quota_group` (parks together).
    """

    id: str
    restart: RestartType = RestartType.PERMANENT
    shutdown: float | BrutalKill = 5.0
    significant: bool = False
    start: Any = None
    backoff: Backoff | None = None
    max_restarts: int | None = None
    healthy_after: float | None = None
    hold: bool = False
    park: bool = False
    quota_group: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise SpecError("a child needs an id")
        if not isinstance(self.shutdown, BrutalKill) and not self.shutdown >= 0:
            raise SpecError(f"{self.id}: shutdown must be 0 seconds or more, not {self.shutdown}")
        if self.significant and self.restart is RestartType.PERMANENT:
            raise SpecError(f"{self.id}: a permanent child cannot be significant; make it transient or temporary")
        if self.max_restarts is not None and self.max_restarts < 0:
            raise SpecError(f"{self.id}: max_restarts must be 0 or more, not {self.max_restarts}")
        if self.healthy_after is not None and not self.healthy_after > 0:
            raise SpecError(f"{self.id}: healthy_after must be above 0 seconds, not {self.healthy_after}")
        if self.quota_group is not None and not self.park:
            raise SpecError(f"{self.id}: a quota_group needs park")

    @property
    def forgets_after(self) -> float:
        """After how many seconds of life what was before is forgotten: its own `healthy_after`, or else that of its backoff (60 s)."""
        return (self.backoff or Backoff()).healthy_after if self.healthy_after is None else self.healthy_after


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorFlags:
    """The rules of one supervisor; the defaults are OTP's.

    More than `max_restarts` restarts within `within` seconds exceed the restart intensity.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 1
    within: float = 5.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    on_limit: OnLimit = OnLimit.ESCALATE

    def __post_init__(self) -> None:
        if self.max_restarts < 0:
            raise SpecError(f"max_restarts must be 0 or more, not {self.max_restarts}")
        if not self.within > 0:
            raise SpecError(f"within must be above 0 seconds, not {self.within}")
