"""What a supervisor core knows, and the few steps that change it: the children, the plan, and the mailbox.

OTP's supervisor blocks while it stops and starts children, and what arrives meanwhile waits in its mailbox. The core cannot block, so it
has a plan that each event moves on, and a mailbox of its own for what would wait in OTP's.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum

from suptree.actors.errors import SpecError
from suptree.actors.exits import Exit, ExitClass

from ..decisions.backoff import Uniform
from ..decisions.child import Child
from ..decisions.core_commands import Decision, Report
from ..decisions.core_events import (
    DeleteChildRequested,
    QuotaGroupParked,
    RestartChildRequested,
    StartChildRequested,
    TerminateChildRequested,
)
from ..decisions.judge import Judge, Outcome
from ..decisions.limit_checks import check_limits
from ..decisions.spread import EvenSpread
from ..decisions.strategy import restarts_siblings, taken_along
from ..spec.child_spec import AutoShutdown, ChildSpec, SupervisorFlags
from .commander import Commander
from .plan import Aim, Plan


class Phase(Enum):
    """What the supervisor itself is doing."""

    NEW = "new"
    """SupervisorStarted has not come; requests wait."""
    STARTING = "starting"
    """Its first children start."""
    RUNNING = "running"
    SHUTTING_DOWN = "shutting_down"
    EXITED = "exited"


class Turn(Enum):
    """What is to be done about a child when its turn in the mailbox comes."""

    DECIDE = "decide"
    """It ended by itself."""
    TRY_AGAIN = "try_again"
    """Its start failed, and the restart has not been counted yet."""
    RESUME = "resume"
    """Its backoff or park is over."""
    RELEASE = "release"
    """It will not come back by itself: those that wait for it are started without it."""


OtpCall = StartChildRequested | TerminateChildRequested | RestartChildRequested | DeleteChildRequested
"""A call of OTP's that changes something, and so waits for its turn."""

Waiting = OtpCall | QuotaGroupParked | tuple[Turn, str]
"""What the mailbox holds; a turn names its child."""


class CoreState:
    """The children of one supervisor, the plan that it carries out, and the messages that wait for the end of the plan.

    Raises SpecError for children that cannot work together or under these flags.
    """

    def __init__(self, flags: SupervisorFlags, children: Sequence[ChildSpec], uniform: Uniform | None) -> None:
        self.flags = flags
        self.phase = Phase.NEW
        self.now = float("-inf")
        self.children: dict[str, Child] = {}  # in start order
        self.judge = Judge(flags, uniform or EvenSpread())
        self.commander = Commander()
        self.last_words = Exit(ExitClass.SHUTDOWN, "shutdown requested")
        self._plan: Plan | None = None
        self._mailbox: deque[Waiting] = deque()
        self._last_incarnations: dict[str, int] = {}  # of ids that are gone
        self.went_on: dict[str, Plan] = {}
        """By the child that does not die: the plan that wanted it down, and went on without it."""
        for spec in children:
            if spec.id in self.children:
                raise SpecError(f"{spec.id}: duplicate child id")
            self._check_flags(spec)
            self.children[spec.id] = Child(spec)
        check_limits(flags, children)

    def check(self, spec: ChildSpec) -> None:
        """Raise SpecError if such a child can never work beside the others and under these flags."""
        self._check_flags(spec)
        check_limits(self.flags, [*(child.spec for child in self.children.values()), spec])

    def _check_flags(self, spec: ChildSpec) -> None:
        if spec.significant and self.flags.auto_shutdown is AutoShutdown.NEVER:
            raise SpecError(f"{spec.id}: a significant child needs a supervisor with auto_shutdown")

    # ---- the children --------------------------------------------------------------------------

    def add(self, spec: ChildSpec, last_incarnation: int, restarts: int) -> None:
        """Add a child after the others; an id that lived before goes on counting."""
        last_incarnation = max(last_incarnation, self._last_incarnations.pop(spec.id, last_incarnation))
        self.children[spec.id] = Child(spec, incarnation=last_incarnation, restarts=restarts)

    def forget(self, child: Child) -> None:
        """Delete its spec, and remember only how often it lived: an id that comes back goes on counting."""
        self._last_incarnations[child.spec.id] = child.incarnation
        del self.children[child.spec.id]

    @property
    def restarts_siblings(self) -> bool:
        """Whether a restart of one child is the affair of its siblings too."""
        return restarts_siblings(self.flags.strategy)

    def taken_along(self, child: Child) -> tuple[str, ...]:
        """The ids that a restart of this child takes along, itself among them, in start order."""
        return taken_along(self.flags.strategy, self.children, child.spec.id)

    # ---- the plan ------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        """What the supervisor is in the middle of."""
        return self._plan

    def begin(self, plan: Plan) -> None:
        """Begin a plan, instead of the one that there was."""
        self._plan = plan
        if plan.aim is Aim.START_ALL:
            self.phase = Phase.STARTING
        elif plan.aim is Aim.SHUT_DOWN:
            self.phase = Phase.SHUTTING_DOWN

    def end_plan(self) -> None:
        """Nothing more is to be done for the plan."""
        self._plan = None
        if self.phase is Phase.STARTING:
            self.phase = Phase.RUNNING

    def starts(self, child: Child) -> bool:
        """Whether the plan waits for the start of this child."""
        return self._plan is not None and self._plan.awaits_start_of(child.spec.id)

    # ---- the mailbox ---------------------------------------------------------------------------

    def put(self, message: Waiting) -> None:
        """Let a message wait for its turn."""
        self._mailbox.append(message)

    def next_message(self) -> Waiting | None:
        """The message whose turn it is, if any may be served: OTP serves its calls when it has started."""
        return self._mailbox.popleft() if self._mailbox and self.phase is not Phase.NEW else None

    def empty_mailbox(self) -> deque[Waiting]:
        """All messages that wait; nothing waits any more."""
        waiting, self._mailbox = self._mailbox, deque()
        return waiting

    # ---- what is said of it --------------------------------------------------------------------

    def report(self, child: Child, outcome: Outcome, takes_along: bool = True) -> None:
        """Report what was decided, and why, and which children are taken along; one that is itself taken along takes nobody."""
        left = self.judge.restarts_left(child, self.now)
        affected: tuple[str, ...] = ()
        if takes_along and outcome.decision in (Decision.RESTART, Decision.PARK):
            affected = self.taken_along(child)
        self.commander.add(Report(child.spec.id, child.incarnation, outcome.decision, outcome.why, outcome.delay, affected, left))
