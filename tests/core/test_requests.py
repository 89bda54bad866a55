"""OTP's calls, and the two things a person should not have to wait for: a stop that was asked for, and a child that only waits."""

from suptree.actors.exits import ExitClass
from suptree.supervisors.decisions.core_commands import Answer, Reply, StopChild
from suptree.supervisors.decisions.core_events import (
    ChildCondemned,
    ChildIgnored,
    CountChildrenRequested,
    DeleteChildRequested,
    RestartChildRequested,
    ShutdownRequested,
    StartChildRequested,
    SupervisorStarted,
    TerminateChildRequested,
    WhichChildrenRequested,
)
from suptree.supervisors.spec.child_spec import BRUTAL_KILL, Backoff, ChildSpec, Strategy

from .driver import CRASH, FAILED, STOPPED, TEMPORARY, TRANSIENT, Driver, specs

TOO_LATE = "the supervisor is shutting down"


# ---- start_child ------------------------------------------------------------------------------------


def test_start_child_adds_a_child_at_the_end() -> None:
    driver = Driver(specs("b"))
    assert ["start a1", "reply s ok"] == driver.start(ChildSpec(id="a"))
    assert ["b", "a"] == list(driver.states())


def test_start_child_refuses_an_id_that_is_there() -> None:
    driver = Driver(specs("ab"))
    driver.terminate("b")
    assert ["reply s already_started"] == driver.start(ChildSpec(id="a"))
    assert ["reply s already_present"] == driver.start(ChildSpec(id="b"))


def test_start_child_that_fails_leaves_no_spec_and_costs_nothing() -> None:
    driver = Driver(specs("a"), auto=False)
    driver.started("a")
    driver.start(ChildSpec(id="b"))
    assert ["reply s refused"] == driver.start_fails("b")
    assert Reply("s", Answer.REFUSED, "failed (exit 1)") == driver.commands[0]
    assert {"a": "running"} == driver.states()
    assert 0 == driver.core.restarts_in_window(0)


def test_start_child_that_is_ignored_keeps_the_spec_unless_it_is_temporary() -> None:
    driver = Driver([], auto=False)
    for child_id, restart in (("a", TRANSIENT), ("t", TEMPORARY)):
        driver.start(ChildSpec(id=child_id, restart=restart))
        assert ["reply s ok"] == driver.feed(ChildIgnored(child_id, 1))
    assert {"a": "down"} == driver.states()


def test_start_child_refuses_what_can_never_work() -> None:
    driver = Driver([], max_restarts=10)
    assert ["reply s refused"] == driver.start(ChildSpec(id="a", restart=TRANSIENT, significant=True))
    assert ["reply s refused"] == driver.start(ChildSpec(id="a", backoff=Backoff()))
    assert isinstance(driver.commands[0], Reply)
    assert "could never be exceeded" in driver.commands[0].value
    assert {} == driver.states()


def test_an_id_that_comes_back_goes_on_counting_incarnations() -> None:
    driver = Driver([])
    assert ["start a8", "reply s ok"] == driver.start(ChildSpec(id="a", restart=TEMPORARY), last_incarnation=7)
    driver.exits("a")
    assert ["start a9", "reply s ok"] == driver.start(ChildSpec(id="a"))
    driver.terminate("a")
    driver.delete("a")
    assert ["start a10", "reply s ok"] == driver.start(ChildSpec(id="a"), last_incarnation=3)


def test_a_start_is_carried_out_or_waits_for_its_turn_or_is_answered() -> None:
    driver = Driver(specs("ab"), auto=False)
    for child_id in "ab":
        driver.started(child_id)
    for number, child_id in enumerate("cd"):
        driver.feed(StartChildRequested(number, ChildSpec(id=child_id)))
    assert (True, False) == (driver.core.carries_out(0), driver.core.carries_out(1))
    driver.started("c")
    assert (False, True) == (driver.core.carries_out(0), driver.core.carries_out(1))
    driver.started("d")
    assert (False, False) == (driver.core.carries_out(0), driver.core.carries_out(1))


# ---- terminate_child --------------------------------------------------------------------------------


def test_terminate_child_stops_the_child_and_keeps_the_spec() -> None:
    driver = Driver(specs("ab"))
    assert ["stop a1", "set kill a 5", "cancel kill a", "reply t ok"] == driver.terminate("a")
    assert {"a": "down", "b": "running"} == driver.states()
    assert ["reply t ok"] == driver.terminate("a")


def test_terminate_child_deletes_a_temporary_child() -> None:
    driver = Driver(specs("a", restart=TEMPORARY))
    driver.terminate("a")
    assert {} == driver.states()
    assert ["reply t not_found"] == driver.terminate("a")


def test_terminate_child_without_grace_kills_immediately() -> None:
    driver = Driver(specs("a"))
    assert ["kill a1", "reply t ok"] == driver.terminate("a", graceful=False)


def test_a_terminated_child_that_does_not_stop_is_killed() -> None:
    driver = Driver(specs("a"))
    driver.auto = False
    driver.terminate("a")
    assert ["kill a1"] == driver.pass_time(5)
    assert ["reply t ok"] == driver.exits("a", CRASH)


def test_a_second_terminate_child_stops_harder_and_both_are_answered() -> None:
    driver = Driver(specs("a"))
    driver.auto = False
    driver.terminate("a", "t1")
    assert ["stop a1"] == driver.terminate("a", "t2")
    assert StopChild("a", 1, 5.0) == driver.commands[0]
    assert ["cancel kill a", "kill a1"] == driver.terminate("a", "t3", graceful=False)
    assert ["kill a1"] == driver.terminate("a", "t4")
    assert ["reply t1 ok", "reply t2 ok", "reply t3 ok", "reply t4 ok"] == driver.exits("a", STOPPED)
    assert [] == driver.pass_time(60)


def test_a_child_that_starts_can_be_terminated() -> None:
    driver = Driver(specs("ab"), auto=False)
    assert ["stop a1", "set kill a 5"] == driver.terminate("a")
    assert ["stop a1"] == driver.terminate("a", "t2")
    assert ["cancel kill a", "reply t ok", "reply t2 ok", "start b1"] == driver.exits("a", STOPPED)
    driver.started("b")
    assert {"a": "down", "b": "running"} == driver.states()


def test_a_request_about_another_child_waits_for_the_one_that_starts_or_stops() -> None:
    driver = Driver(specs("abc"), auto=False)
    driver.started("a")
    assert [] == driver.terminate("a", "ta")
    driver.started("b")
    assert ["stop a1", "set kill a 5"] == driver.started("c")
    assert [] == driver.terminate("b", "tb")
    assert [] == driver.terminate("c", "tc")
    assert ["cancel kill a", "reply ta ok", "stop b1", "set kill b 5"] == driver.exits("a", STOPPED)
    assert [] == driver.delete("a")
    assert ["cancel kill b", "reply tb ok", "stop c1", "set kill c 5"] == driver.exits("b", STOPPED)


def test_a_temporary_child_that_starts_can_be_terminated() -> None:
    driver = Driver([ChildSpec(id="t", restart=TEMPORARY), *specs("b")], auto=False)
    assert ["kill t1"] == driver.terminate("t", graceful=False)
    assert ["reply t ok", "start b1"] == driver.exits("t", STOPPED)
    assert {"b": "starting"} == driver.states()


def test_a_child_that_is_terminated_while_it_is_restarted_stays_down() -> None:
    driver = Driver(specs("a"))
    driver.auto = False
    driver.exits("a")
    driver.terminate("a")
    assert ["cancel kill a", "reply t ok"] == driver.exits("a", STOPPED)
    assert {"a": "down"} == driver.states()


def test_a_start_by_request_that_is_terminated_is_refused() -> None:
    driver = Driver([], auto=False)
    driver.start(ChildSpec(id="a"))
    driver.terminate("a")
    assert ["cancel kill a", "reply t ok", "reply s refused"] == driver.exits("a", STOPPED)
    assert Reply("s", Answer.REFUSED, "it was terminated") == driver.commands[-1]
    assert {} == driver.states()


def test_a_condemned_child_can_be_terminated() -> None:
    driver = Driver(specs("a"))
    driver.auto = False
    driver.feed(ChildCondemned("a", 1, ExitClass.HUNG, "silent"))
    assert ["stop a1"] == driver.terminate("a")
    assert ["cancel kill a", "reply t ok"] == driver.exits("a", STOPPED)
    assert {"a": "down"} == driver.states()


def test_a_child_that_ends_by_itself_before_its_turn_to_be_terminated_is_not_restarted() -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.terminate("b", "t1")
    driver.terminate("a", "t2")
    assert [] == driver.exits("a")
    assert ["cancel kill b", "reply t1 ok", "report a leave", "reply t2 ok"] == driver.exits("b", STOPPED)
    assert {"a": "down", "b": "down"} == driver.states()


def test_terminate_child_of_a_sibling_that_its_group_stops_stops_it_harder_and_waits_as_in_otp() -> None:
    driver = Driver(specs("ab"), strategy=Strategy.ONE_FOR_ALL)
    driver.auto = False
    driver.exits("a")
    assert ["stop b1"] == driver.terminate("b")
    assert ["cancel kill b", "start a2"] == driver.exits("b", STOPPED)
    driver.started("a")
    assert ["stop b2", "set kill b 5"] == driver.started("b")
    assert ["cancel kill b", "reply t ok"] == driver.exits("b", STOPPED)


def test_a_terminated_child_forgets_its_detail() -> None:
    driver = Driver(specs("a", restart=TRANSIENT))
    driver.exits("a", FAILED)
    driver.terminate("a")
    assert "" == driver.core.child("a").detail


# ---- restart_child and delete_child -----------------------------------------------------------------


def test_restart_child_starts_a_child_that_is_down_and_counts_no_restart() -> None:
    driver = Driver(specs("a"))
    driver.terminate("a")
    assert ["start a2", "reply r ok"] == driver.restart("a")
    assert 0 == driver.core.child("a").restarts
    assert 0 == driver.core.restarts_in_window(0)


def test_restart_child_that_fails_leaves_the_child_down() -> None:
    driver = Driver(specs("a"))
    driver.terminate("a")
    driver.auto = False
    driver.restart("a")
    assert ["reply r refused"] == driver.start_fails("a")
    assert ("down", "failed (exit 1)") == (driver.core.child("a").state.value, driver.core.child("a").detail)


def test_a_running_child_is_neither_restarted_nor_deleted() -> None:
    driver = Driver(specs("a"))
    assert ["reply r running"] == driver.restart("a")
    assert ["reply d running"] == driver.delete("a")


def test_a_child_that_is_not_there_is_not_found() -> None:
    driver = Driver([])
    assert ["reply r not_found"] == driver.restart("a")
    assert ["reply d not_found"] == driver.delete("a")
    assert ["reply t not_found"] == driver.terminate("a")


def test_delete_child_deletes_the_spec_of_a_child_that_is_down() -> None:
    driver = Driver(specs("ab"))
    driver.terminate("a")
    assert ["reply d ok"] == driver.delete("a")
    assert {"b": "running"} == driver.states()


def test_a_child_that_backs_off_is_not_deleted_but_started_before_its_time() -> None:
    driver = Driver(specs("a", backoff=Backoff()))
    driver.exits("a")
    driver.pass_time(10)
    driver.exits("a")
    assert "backing_off" == driver.states()["a"]
    assert ["reply d restarting"] == driver.delete("a")
    assert ["reply s already_present"] == driver.start(ChildSpec(id="a"))
    assert ["cancel resume a", "start a3", "reply r ok"] == driver.restart("a")
    assert [] == driver.pass_time(1000)


def test_a_child_whose_failed_start_is_tried_again_answers_restarting() -> None:
    driver = Driver(specs("ab"), auto=False, max_restarts=10)
    driver.started("a")
    driver.started("b")
    driver.exits("a")
    driver.restart("a", "before")
    driver.delete("a", "d")
    assert ["reply before restarting", "reply d restarting", "report a restart", "start a3"] == driver.start_fails("a")


# ---- which_children and count_children --------------------------------------------------------------


def test_which_and_count_children_are_answered_immediately_whatever_is_going_on() -> None:
    driver = Driver(specs("abc"), auto=False)
    driver.started("a")
    driver.feed(WhichChildrenRequested("w"))
    assert [Reply("w", Answer.OK, driver.core.children())] == driver.commands
    driver.feed(CountChildrenRequested("c"))
    assert [Reply("c", Answer.OK, (3, 2))] == driver.commands


def test_a_child_that_has_ended_is_not_active_even_before_that_is_handled() -> None:
    driver = Driver(specs("ab"))
    driver.auto = False
    driver.terminate("a")
    driver.exits("b")
    driver.feed(CountChildrenRequested("c"))
    assert [Reply("c", Answer.OK, (2, 1))] == driver.commands


# ---- when requests are served -----------------------------------------------------------------------


def test_requests_that_come_before_the_supervisor_starts_are_served_after_its_children_have_started() -> None:
    driver = Driver(specs("a"), started=False)
    assert [] == driver.restart("a")
    assert ["start a1", "reply r running"] == driver.feed(SupervisorStarted())


def test_requests_that_come_in_the_middle_of_a_restart_are_served_in_order_after_it() -> None:
    driver = Driver(specs("ab"), strategy=Strategy.ONE_FOR_ALL)
    driver.auto = False
    driver.exits("a")
    assert [] == driver.delete("a", "first")
    assert [] == driver.restart("a", "second")
    assert [] == driver.start(ChildSpec(id="c"), "third")
    driver.exits("b", STOPPED)
    driver.started("a")
    assert ["reply first running", "reply second running", "start c1"] == driver.started("b")


def test_requests_that_wait_when_the_supervisor_shuts_down_are_answered() -> None:
    driver = Driver(specs("ab"), strategy=Strategy.ONE_FOR_ALL)
    driver.auto = False
    driver.terminate("b")
    driver.exits("a")
    for event in (
        StartChildRequested("s", ChildSpec(id="c")),
        RestartChildRequested("r", "a"),
        DeleteChildRequested("d", "a"),
        TerminateChildRequested("ta", "a"),
        TerminateChildRequested("tx", "x"),
    ):
        assert [] == driver.feed(event)
    assert ["reply s refused", "reply r refused", "reply d refused", "reply tx not_found"] == driver.feed(ShutdownRequested())
    assert Reply("s", Answer.REFUSED, TOO_LATE) == driver.commands[0]
    assert ["cancel kill b", "reply t ok", "report a leave", "reply ta ok", "exit shutdown"] == driver.exits("b", STOPPED)


def test_a_start_by_request_that_a_shutdown_interrupts_is_refused() -> None:
    driver = Driver([], auto=False)
    driver.start(ChildSpec(id="a"))
    assert ["reply s refused", "stop a1", "set kill a 5"] == driver.feed(ShutdownRequested())
    assert Reply("s", Answer.REFUSED, TOO_LATE) == driver.commands[0]
    assert ["cancel kill a", "exit shutdown"] == driver.exits("a", STOPPED)


def test_requests_during_a_shutdown_are_refused_but_for_terminate_child() -> None:
    driver = Driver([ChildSpec(id="a"), ChildSpec(id="b", shutdown=BRUTAL_KILL), ChildSpec(id="c")])
    driver.auto = False
    driver.feed(ShutdownRequested())
    assert ["reply s refused"] == driver.start(ChildSpec(id="d"))
    assert ["reply r refused"] == driver.restart("a")
    assert ["reply d refused"] == driver.delete("a")
    assert ["reply t not_found"] == driver.terminate("x")
    assert ["stop c1"] == driver.terminate("c", "tc")
    assert [] == driver.terminate("b", "tb")
    assert [] == driver.terminate("a", "ta", graceful=False)
    assert ["cancel kill c", "reply tc ok", "kill b1"] == driver.exits("c", STOPPED)
    assert ["reply tc2 ok"] == driver.terminate("c", "tc2")
    assert [] == driver.exits("a")
    assert ["reply tb ok", "report a leave", "reply ta ok", "exit shutdown"] == driver.exits("b", STOPPED)


def test_requests_after_the_exit_are_answered() -> None:
    driver = Driver(specs("a"))
    driver.feed(ShutdownRequested())
    assert ["reply s refused"] == driver.start(ChildSpec(id="d"))
    assert ["reply r refused"] == driver.restart("a")
    assert ["reply d refused"] == driver.delete("a")
    assert ["reply t ok"] == driver.terminate("a")
    assert ["reply w ok"] == driver.feed(WhichChildrenRequested("w"))
