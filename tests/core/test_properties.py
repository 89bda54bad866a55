"""Whatever comes, in whatever order: the guarantees of docs/semantics.md hold after every event."""

import pickle
from collections import Counter
from collections.abc import Hashable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.core.core import Phase, SupervisorCore
from suptree.supervisors.core.dry_run import forecast
from suptree.supervisors.decisions.child import ALIVE, ChildState
from suptree.supervisors.decisions.core_commands import (
    CancelTimer,
    Decision,
    ExitSupervisor,
    KillChild,
    Reply,
    Report,
    SetTimer,
    StartChild,
    StopChild,
)
from suptree.supervisors.decisions.core_events import (
    ChildCondemned,
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    CountChildrenRequested,
    DeleteChildRequested,
    Event,
    QuotaGroupParked,
    RestartChildRequested,
    ShutdownRequested,
    StartChildRequested,
    SupervisorStarted,
    TerminateChildRequested,
    TimerFired,
    WhichChildrenRequested,
)
from suptree.supervisors.decisions.timers import Timer
from suptree.supervisors.spec.child_spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    Backoff,
    ChildSpec,
    OnLimit,
    RestartType,
    Strategy,
    SupervisorFlags,
)

IDS = ["a", "b", "c", "d"]
FAST = Backoff(base=0.25, cap=2.0, healthy_after=5.0)


@st.composite
def child_specs(draw: st.DrawFn, child_id: str, auto_shutdown: AutoShutdown) -> ChildSpec:
    """Any child that may stand under these flags."""
    restart = draw(st.sampled_from(list(RestartType)))
    may_be_significant = auto_shutdown is not AutoShutdown.NEVER and restart is not RestartType.PERMANENT
    park = draw(st.booleans())
    return ChildSpec(
        id=child_id,
        restart=restart,
        shutdown=draw(st.one_of(st.sampled_from([0.0, 2.0, INFINITY]), st.just(BRUTAL_KILL))),
        significant=may_be_significant and draw(st.booleans()),
        backoff=draw(st.sampled_from([None, FAST])),
        max_restarts=draw(st.sampled_from([None, None, 0, 2])),
        hold=draw(st.booleans()),
        park=park,
        quota_group=draw(st.sampled_from([None, "g"])) if park else None,
    )


exits = st.builds(
    Exit,
    st.sampled_from(list(ExitClass)),
    st.sampled_from(["exit 1", "SIGSEGV", "SIGKILL"]),
    last_error=st.sampled_from([None, "no 1", "no 2", "out of luck"]),
    retry_after=st.sampled_from([None, 0.0, 3.0]),
)


class AnyOrder(RuleBasedStateMachine):
    """Children answer late, twice or never, people ask in between, and time jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.seen: list[Event] = []
        self.living: dict[str, int] = {}
        self.ordered: dict[str, int] = {}
        self.timers: dict[Timer, TimerFired] = {}
        self.stale_timers: list[TimerFired] = []
        self.asked: set[Hashable] = set()
        self.answered: Counter[Hashable] = Counter()
        self.charged: list[float] = []
        self.gone = False
        self.exits_reported: Counter[tuple[str, int]] = Counter()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Any supervisor."""
        auto_shutdown = data.draw(st.sampled_from(list(AutoShutdown)))
        self.flags = SupervisorFlags(
            strategy=data.draw(st.sampled_from(list(Strategy))),
            max_restarts=data.draw(st.integers(0, 3)),
            within=data.draw(st.sampled_from([1.0, 5.0, 60.0])),
            auto_shutdown=auto_shutdown,
            on_limit=data.draw(st.sampled_from(list(OnLimit))),
        )
        ids = data.draw(st.lists(st.sampled_from(IDS), unique=True))
        self.core = SupervisorCore(self.flags, [data.draw(child_specs(i, auto_shutdown)) for i in ids])
        if data.draw(st.booleans()):
            self.feed(SupervisorStarted())

    # ---- what happens --------------------------------------------------------------------------

    def feed(self, event: Event) -> None:
        """Hand over one event and check what was ordered."""
        self.seen.append(event)
        if isinstance(event, ChildExited | ChildStartFailed | ChildIgnored) and self.living.get(event.id) == event.incarnation:
            del self.living[event.id]
        commands = self.core.handle(event, self.now)
        assert not (self.gone and any(not isinstance(c, Reply) for c in commands))
        for command in commands:
            self.check(command)

    def check(self, command: Any) -> None:
        """One command is legal now."""
        match command:
            case StartChild(spec, incarnation):
                assert spec.id not in self.living
                assert incarnation > self.ordered.get(spec.id, 0)
                self.living[spec.id] = self.ordered[spec.id] = incarnation
            case StopChild(child_id, incarnation) | KillChild(child_id, incarnation):
                assert self.living[child_id] == incarnation
            case SetTimer(timer, generation, delay):
                assert delay >= 0
                if timer in self.timers:
                    self.stale_timers.append(self.timers[timer])
                self.timers[timer] = TimerFired(timer, generation)
            case CancelTimer(timer):
                self.stale_timers.append(self.timers.pop(timer))
            case Reply(request):
                self.answered[request] += 1
            case Report(child_id, _, decision, affected=affected):
                # One that is taken along by the restart of a sibling affects nobody, and costs nothing.
                if decision is Decision.RESTART and affected and self.core_spec_charges(child_id):
                    self.charged.append(self.core.now)
            case ExitSupervisor():
                assert not self.gone
                assert not self.living
                assert not self.timers
                self.gone = True

    def core_spec_charges(self, child_id: str) -> bool:
        """Whether its restarts count against the supervisor's window."""
        return self.core.spec(child_id).max_restarts is None

    def ask(self, request: Any) -> None:
        """A new request."""
        number = len(self.asked)
        self.asked.add(number)
        self.feed(request(number))

    @rule()
    def supervisor_started(self) -> None:
        """Also twice."""
        self.feed(SupervisorStarted())

    @rule(data=st.data(), exit_=exits)
    @precondition(lambda self: self.living)
    def a_child_answers(self, data: st.DataObject, exit_: Exit) -> None:
        """Something living starts, fails, ignores, is condemned or ends, in any state."""
        child_id = data.draw(st.sampled_from(sorted(self.living)))
        incarnation = self.living[child_id]
        running = self.core.child(child_id).state is not ChildState.STARTING and ChildStarted(child_id, incarnation) in self.seen
        kinds: list[Event] = [
            ChildExited(child_id, incarnation, exit_),
            ChildCondemned(child_id, incarnation, exit_.exit_class, exit_.reason),
            ChildStarted(child_id, incarnation),
        ]
        if not running:
            kinds += [ChildStarted(child_id, incarnation)] * 3
            kinds += [ChildStartFailed(child_id, incarnation, exit_), ChildIgnored(child_id, incarnation)]
        self.feed(data.draw(st.sampled_from(kinds)))

    @rule(data=st.data())
    @precondition(lambda self: self.living)
    def all_children_obey(self, data: st.DataObject) -> None:
        """What was ordered is done, for a while."""
        for _ in range(data.draw(st.integers(1, 12))):
            for child in self.core.children():
                if child.state is ChildState.STARTING:
                    self.feed(ChildStarted(child.id, child.incarnation))
                elif child.state is ChildState.STOPPING and child.id in self.living:
                    self.feed(ChildExited(child.id, child.incarnation, Exit(ExitClass.SHUTDOWN, "stopped")))

    @rule(data=st.data())
    @precondition(lambda self: self.seen)
    def an_old_event_comes_again(self, data: st.DataObject) -> None:
        """Late and duplicate: about an incarnation that has ended, it changes nothing."""
        event = data.draw(st.sampled_from(self.seen))
        if not isinstance(event, ChildStarted | ChildStartFailed | ChildIgnored | ChildExited | ChildCondemned):
            return
        if self.living.get(event.id) == event.incarnation:
            return
        before = self.core.children(), self.core.phase
        assert [] == self.core.handle(event, self.now)
        assert (self.core.children(), self.core.phase) == before

    @rule(data=st.data())
    @precondition(lambda self: self.timers)
    def a_timer_fires(self, data: st.DataObject) -> None:
        """In any order, early or late."""
        timer = data.draw(st.sampled_from(sorted(self.timers, key=str)))
        self.feed(self.timers.pop(timer))

    @rule(data=st.data())
    @precondition(lambda self: self.stale_timers)
    def a_stale_timer_fires(self, data: st.DataObject) -> None:
        """It does nothing."""
        event = data.draw(st.sampled_from(self.stale_timers))
        before = self.core.children()
        assert [] == self.core.handle(event, self.now)
        assert self.core.children() == before

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0, 60.0, 1e6, -1.0, -1e6]))
    def time_jumps(self, seconds: float) -> None:
        """Back, too."""
        self.now += seconds

    @rule(retry_after=st.sampled_from([None, 2.0]))
    def the_quota_group_is_parked(self, retry_after: float | None) -> None:
        """By a child of another supervisor."""
        self.feed(QuotaGroupParked("g", retry_after))

    @rule(child_id=st.sampled_from(IDS), graceful=st.booleans())
    def terminate_child(self, child_id: str, graceful: bool) -> None:
        """A person asks."""
        self.ask(lambda number: TerminateChildRequested(number, child_id, graceful))

    @rule(child_id=st.sampled_from(IDS))
    def restart_child(self, child_id: str) -> None:
        """A person asks."""
        self.ask(lambda number: RestartChildRequested(number, child_id))

    @rule(child_id=st.sampled_from(IDS))
    def delete_child(self, child_id: str) -> None:
        """A person asks."""
        self.ask(lambda number: DeleteChildRequested(number, child_id))

    @rule(data=st.data(), child_id=st.sampled_from(IDS))
    def start_child(self, data: st.DataObject, child_id: str) -> None:
        """A person asks; also for a significant child where there can be none."""
        spec = data.draw(child_specs(child_id, data.draw(st.sampled_from([self.flags.auto_shutdown, AutoShutdown.ANY_SIGNIFICANT]))))
        self.ask(lambda number: StartChildRequested(number, spec, self.ordered.get(child_id, 0)))

    @rule()
    def which_and_count(self) -> None:
        """Answered immediately, whatever is going on."""
        for request in (WhichChildrenRequested, CountChildrenRequested):
            self.ask(request)
            assert 1 == self.answered[len(self.asked) - 1]

    @rule(child_id=st.sampled_from(IDS), exit_=exits)
    def what_would_happen_is_asked(self, child_id: str, exit_: Exit) -> None:
        """It is answered, whatever is going on, and changes nothing."""
        before = pickle.dumps(self.core)
        try:
            predicted = forecast(self.core, child_id, exit_, self.now)
        except KeyError:
            pass
        except ValueError as refusal:
            assert f"{child_id} does not run: it is" in str(refusal)
        else:
            assert child_id == predicted.report.id
        assert pickle.dumps(self.core) == before

    @rule(chance=st.integers(0, 9))
    def shutdown_requested(self, chance: int) -> None:
        """Sometimes."""
        if chance == 0:
            self.feed(ShutdownRequested())

    @rule()
    def the_core_is_pickled(self) -> None:
        """And goes on elsewhere."""
        self.core = pickle.loads(pickle.dumps(self.core))  # noqa: S301

    # ---- what holds ----------------------------------------------------------------------------

    @invariant()
    def no_request_is_answered_twice(self) -> None:
        """Nor is one answered that was not asked."""
        assert all(count == 1 for count in self.answered.values())
        assert set(self.answered) <= self.asked

    @invariant()
    def restarts_never_exceed_the_limit_in_any_window(self) -> None:
        """Of restarts that count against the supervisor's window."""
        limit = self.flags.max_restarts
        for earlier, later in zip(self.charged, self.charged[limit:], strict=False):
            assert later - earlier > self.flags.within if limit else False

    def teardown(self) -> None:
        """No plan is stuck: if children obey and timers fire, all comes to rest, every request is answered, and it can shut down."""
        if not hasattr(self, "core"):
            return
        self.feed(SupervisorStarted())
        self.come_to_rest()
        if not self.gone:
            assert self.core.phase is Phase.RUNNING
        assert set(self.answered) == self.asked
        self.feed(ShutdownRequested())
        self.come_to_rest()
        assert self.gone
        assert set(self.answered) == self.asked
        assert not any(child.state in ALIVE for child in self.core.children())

    def come_to_rest(self) -> None:
        """Children do as the forecast says, until there is nothing to do."""
        for _ in range(1000):
            under_way = [c for c in self.core.children() if c.state in (ChildState.STARTING, ChildState.STOPPING) and c.id in self.living]
            if under_way:
                child = under_way[0]
                starts = child.state is ChildState.STARTING
                end = ChildExited(child.id, child.incarnation, Exit(ExitClass.SHUTDOWN, "stopped"))
                self.feed(ChildStarted(child.id, child.incarnation) if starts else end)
            elif self.timers:
                self.feed(self.timers.pop(min(self.timers, key=str)))
            else:
                return
        raise AssertionError("it never comes to rest")


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
