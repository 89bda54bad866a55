"""What comes next for a child that ended. Nothing here is carried out."""

from collections.abc import Iterable
from dataclasses import dataclass

from suptree.actors.exits import CauseId

from ..spec.child_spec import AutoShutdown, OnLimit, SupervisorFlags
from .backoff import Uniform, delay_before
from .child import ALIVE, RESTARTING, Child
from .core_commands import Decision
from .fingerprint import fingerprint
from .park import delay_until_resume
from .restart_window import RestartWindow
from .rules import OWN_RULES, RESTARTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision, what it rests on, and for how many seconds the child waits first."""

    decision: Decision
    why: str
    delay: float = 0.0


class Judge:
    """Knows the supervisor's flags and the restarts that it has made."""

    def __init__(self, flags: SupervisorFlags, uniform: Uniform) -> None:
        self._flags = flags
        self._uniform = uniform
        self.window = RestartWindow(flags.max_restarts, flags.within)

    def after_exit(self, child: Child, siblings: Iterable[Child], now: float) -> Outcome:
        """A child ended by itself. A restart, if that is the outcome, is counted."""
        exit_ = child.last_exit
        if exit_.cause is CauseId.TREE_TERMINATED:
            return Outcome(Decision.LEAVE, f"{exit_.summary}: the tree is being stopped")
        if not RESTARTS[child.spec.restart, exit_.is_normal]:
            why = f"{exit_.summary}: a {child.spec.restart.value} child is not restarted"
            if self._shuts_down(child, siblings):
                return Outcome(Decision.AUTO_SHUTDOWN, f"{why}; it was significant")
            return Outcome(Decision.LEAVE, why)
        return self.by_own_rules(child) or self.count_restart(child, now)

    def by_own_rules(self, child: Child) -> Outcome | None:
        """What the additions in the child's spec say about its exit or failed start; None where they leave it to OTP's rules."""
        exit_ = child.last_exit
        if child.spec.hold:
            mark = fingerprint(exit_)
            child.alike = child.alike + 1 if mark is not None and mark == child.fingerprint else 1
            child.fingerprint = mark
        for rule, decision in OWN_RULES:
            why = rule(child, exit_)
            if why is not None:
                return Outcome(decision, why, self.park_delay(exit_.retry_after) if decision is Decision.PARK else 0.0)
        return None

    def count_restart(self, child: Child, now: float) -> Outcome:
        """OTP's rule: a restart beyond the limit is not made. A child with a limit of its own does not use up its supervisor's."""
        if child.spec.max_restarts is None:
            if not self.window.left(now):
                limit = f"more than {self._flags.max_restarts} restarts within {self._flags.within:g} s"
                gives_up = self._flags.on_limit is OnLimit.ESCALATE
                return Outcome(Decision.ESCALATE if gives_up else Decision.QUARANTINE, f"{child.last_exit.summary}: {limit}")
            self.window.add(now)
        child.in_a_row += 1
        return Outcome(Decision.RESTART, child.last_exit.summary, delay_before(child.in_a_row, child.spec.backoff, self._uniform))

    def park_delay(self, retry_after: float | None) -> float:
        """How many seconds one parked child waits."""
        return delay_until_resume(retry_after, self._uniform)

    def restarts_left(self, child: Child, now: float) -> int:
        """How many more restarts the limit that governs the child allows."""
        if child.spec.max_restarts is not None:
            return child.spec.max_restarts - child.in_a_row
        return self.window.left(now)

    def _shuts_down(self, child: Child, siblings: Iterable[Child]) -> bool:
        """OTP's `auto_shutdown`; asked when the child is down already."""
        if not child.spec.significant:
            return False
        if self._flags.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
            return True
        return not any(c.spec.significant and (c.state in ALIVE or c.state in RESTARTING) for c in siblings)
