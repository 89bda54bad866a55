"""Requests about one child that come while another is carried out: with a real core, and a child whose start and end take their time."""

import time
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.base.messages import Answered, ClientRequest
from suptree.actors.events.event_types import Deleted, Exited, Kind, Started, Starting
from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.actor.client_requests import ClientRequests
from suptree.supervisors.actor.reporter import Reporter
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.supervisors.config.wire import encode_child
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions import core_commands as c
from suptree.supervisors.decisions import core_events as e
from suptree.supervisors.spec.child_spec import ChildSpec, RestartType, SupervisorFlags
from tests.supervisor_actor.living_children import SLEEPER

STOPPED = Exit(ExitClass.SHUTDOWN, "stop requested")
HOPELESS = Exit(ExitClass.PERMANENT, "exit 127")
RESTARTS = pytest.mark.parametrize("restart", list(RestartType), ids=lambda restart: str(restart.value))


def agent(child_id: str, restart: RestartType = RestartType.PERMANENT, command: str = "A", **config: Any) -> ChildSpec:
    given = {**SLEEPER, "command": command, "restart": restart.value, "max_restarts": None, **config}
    return agent_child_from_config(child_id, "process_wrapper", given, "/")


class Supervisor:
    """A core whose children start and end when the test says so, and what its clients are answered."""

    def __init__(self, state_dir: Path) -> None:
        self.asked = 0
        self.answers: list[str] = []
        self.started: list[str] = []
        self.deleted: list[str] = []
        self.children: dict[str, Any] = {}
        self.core = SupervisorCore(SupervisorFlags(), [], uniform=lambda low, _high: low)
        self.reporter = Reporter("s", "run:1", lambda _message: True)
        self.requests = ClientRequests(
            [],
            self.core,
            self.children,
            str(state_dir),
            row=self.reporter.row,
            report=self.report,
            tell_core=self.tell_core,
            answer=self.answered,
            shut_down=lambda: None,
        )
        self.tell_core(e.SupervisorStarted())

    def report(self, event: Any) -> None:
        if isinstance(event, Deleted):
            self.deleted.append(event.id)
        self.reporter.report(event)

    def answered(self, answered: Answered) -> None:
        name = answered.request.partition("#")[0]
        self.answers.append(f"{name}: {answered.answer}" + (f" ({answered.value})" if answered.value else ""))

    def tell_core(self, event: e.Event) -> None:
        for command in self.core.handle(event, time.monotonic()):
            if isinstance(command, c.Reply):
                self.requests.conclude(command)
            elif isinstance(command, c.StartChild):
                self.children[command.spec.id] = command
                self.started.append(f"{command.spec.start.command} {command.incarnation}")
                self.report(Starting(Kind.AGENT, command.spec.id, command.incarnation, restarts=command.restarts, actor_pid=1))

    def ask(self, operation: str, target: str = "x", name: str = "", **arguments: Any) -> None:
        """A request, whose answer begins with that name, or with its operation."""
        self.asked += 1
        self.requests.take(ClientRequest(f"{name or operation}#{self.asked}", operation, target, arguments))

    def post(self, spec: ChildSpec) -> None:
        self.ask("start_child", "s", "post", spec=encode_child(spec))

    def up(self, child_id: str = "x") -> None:
        """The start of a child that was ordered is over."""
        incarnation = self.children[child_id].incarnation
        self.report(Started(Kind.AGENT, child_id, incarnation, pid=1))
        self.tell_core(e.ChildStarted(child_id, incarnation))

    def down(self, child_id: str = "x", how: Exit = STOPPED) -> None:
        """Nothing of a child is left."""
        incarnation = self.children.pop(child_id).incarnation
        self.report(Exited(Kind.AGENT, child_id, incarnation, exit=how))
        self.tell_core(e.ChildExited(child_id, incarnation, how))

    def runs(self, spec: ChildSpec) -> None:
        """Add a child that runs, and forget what was said of it."""
        self.post(spec)
        self.up(spec.id)
        self.answers.clear()


def is_shown(supervisor: Supervisor, child_id: str = "x") -> bool:
    row = supervisor.reporter.row(child_id)
    return row is not None and not row["deleted"]


@RESTARTS
def test_a_child_that_is_being_restarted_is_not_deleted(tmp_path: Path, restart: RestartType) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", restart))
    supervisor.ask("restart")
    supervisor.ask("delete")
    supervisor.down()
    supervisor.up()
    assert ["delete: restarting", "restart: ok"] == supervisor.answers
    assert (["A 1", "A 2"], [], True) == (supervisor.started, supervisor.deleted, is_shown(supervisor))
    supervisor.ask("stop")
    supervisor.down()
    supervisor.ask("start")
    assert "A 3" == supervisor.started[-1]


@RESTARTS
def test_a_child_that_is_deleted_before_its_restart_stays_deleted(tmp_path: Path, restart: RestartType) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", restart))
    supervisor.ask("stop")
    supervisor.ask("delete")
    supervisor.ask("restart")
    supervisor.down()
    assert ["stop: ok", "restart: not_found", "delete: ok"] == supervisor.answers
    assert (["A 1"], ["x"], {}, False) == (supervisor.started, supervisor.deleted, supervisor.children, is_shown(supervisor))


@RESTARTS
def test_a_stop_that_comes_after_a_restart_is_the_last_word(tmp_path: Path, restart: RestartType) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", restart))
    supervisor.ask("restart")
    supervisor.ask("restart", name="joined")
    supervisor.ask("stop")
    supervisor.down()
    refusal = "refused (it was stopped meanwhile)"
    assert [f"joined: {refusal}", f"restart: {refusal}", "stop: ok"] == supervisor.answers
    assert ["A 1"] == supervisor.started


@RESTARTS
def test_a_restart_that_comes_after_that_stop_starts_the_child(tmp_path: Path, restart: RestartType) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", restart))
    supervisor.ask("restart")
    supervisor.ask("terminate_child")
    supervisor.ask("restart", name="again")
    supervisor.down()
    supervisor.up()
    assert ["restart: refused (it was stopped meanwhile)", "terminate_child: ok", "again: ok"] == supervisor.answers
    assert ["A 1", "A 2"] == supervisor.started


@RESTARTS
def test_a_stop_in_the_second_half_of_a_restart_ends_what_was_started(tmp_path: Path, restart: RestartType) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", restart))
    supervisor.ask("restart")
    supervisor.down()
    supervisor.ask("stop")
    supervisor.down()
    assert ["stop: ok", "restart: refused (it was terminated)"] == supervisor.answers
    assert ({}, ["A 1", "A 2"]) == (supervisor.children, supervisor.started)


@pytest.mark.parametrize("operation", ["start", "restart", "restart_child"])
def test_a_stop_of_a_held_child_that_a_client_has_asked_to_start_waits_for_that_start(tmp_path: Path, operation: str) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", hold=True))
    supervisor.down(how=HOPELESS)
    # While another child starts, all others wait for their turn.
    supervisor.post(agent("y"))
    supervisor.ask(operation)
    supervisor.ask("stop")
    assert [] == supervisor.answers
    supervisor.up("y")
    # The start has its turn, and the stop ends it.
    assert (["post: ok"], "A 2") == (supervisor.answers, supervisor.started[-1])
    supervisor.down()
    assert {f"{operation}: refused (it was terminated)", "post: ok", "stop: ok"} == {*supervisor.answers}
    assert ["y"] == list(supervisor.children)


STARTS = pytest.mark.parametrize("operation", ["start", "post"])


def ask_to_start(supervisor: Supervisor, operation: str, spec: ChildSpec) -> None:
    if operation == "post":
        supervisor.post(spec)
    else:
        supervisor.ask("start")


@STARTS
@RESTARTS
def test_a_stop_that_comes_after_a_start_which_waits_for_an_earlier_stop_is_the_last_word(
    tmp_path: Path, restart: RestartType, operation: str
) -> None:
    supervisor = Supervisor(tmp_path)
    spec = agent("x", restart)
    supervisor.runs(spec)
    supervisor.ask("stop", name="first")
    ask_to_start(supervisor, operation, spec)
    supervisor.ask("stop", name="last")
    supervisor.down()
    if supervisor.children:
        supervisor.down()
    assert {} == supervisor.children
    assert {"first: ok"} < set(supervisor.answers)
    assert 3 == len(supervisor.answers)


def test_so_is_one_that_comes_after_a_restart_and_a_start(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x"))
    supervisor.ask("restart")
    supervisor.ask("start")
    supervisor.ask("stop")
    supervisor.down()
    supervisor.down()
    assert {} == supervisor.children
    assert ["restart: refused (it was stopped meanwhile)", "start: refused (it was terminated)", "stop: ok"] == sorted(supervisor.answers)


def test_so_is_one_that_comes_while_a_sibling_starts_and_a_start_waits_for_that(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x"))
    supervisor.ask("stop")
    supervisor.down()
    supervisor.answers.clear()
    supervisor.post(agent("slow"))
    supervisor.ask("start")
    supervisor.ask("stop")
    assert [] == supervisor.answers
    supervisor.up("slow")
    supervisor.down()
    assert (["post: ok", "start: refused (it was terminated)", "stop: ok"], ["slow"]) == (
        sorted(supervisor.answers),
        [*supervisor.children],
    )


def test_a_stop_of_a_child_that_a_client_starts_now_does_not_wait_for_that_start(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.post(agent("x"))
    supervisor.ask("stop")
    supervisor.down()
    assert "stop: ok" in supervisor.answers
    assert {} == supervisor.children


def test_a_stop_that_comes_before_a_start_does_not_wait_for_it(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x"))
    supervisor.ask("stop")
    supervisor.ask("start")
    supervisor.down()
    supervisor.up()
    assert (["stop: ok", "start: ok"], ["x"]) == (supervisor.answers, [*supervisor.children])


def test_a_spec_that_was_refused_is_not_what_the_next_restart_runs(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", RestartType.TEMPORARY))
    supervisor.post(agent("x", RestartType.TEMPORARY, "B"))
    supervisor.ask("restart")
    supervisor.down()
    supervisor.up()
    assert (["post: already_started", "restart: ok"], ["A 1", "A 2"]) == (supervisor.answers, supervisor.started)


def test_a_spec_whose_start_failed_is_not_what_the_next_start_runs(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", RestartType.TEMPORARY))
    supervisor.down()
    supervisor.post(agent("x", RestartType.TEMPORARY, "B"))
    supervisor.down(how=HOPELESS)
    supervisor.ask("start")
    assert ["A 1", "B 2", "A 3"] == supervisor.started


def test_the_last_spec_that_was_started_is_what_the_next_restart_runs(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", RestartType.TEMPORARY))
    supervisor.down()
    supervisor.runs(agent("x", RestartType.TEMPORARY, "B"))
    supervisor.ask("restart")
    supervisor.down()
    supervisor.up()
    assert ["A 1", "B 2", "B 3"] == supervisor.started


def test_whether_a_child_stays_down_is_said_of_what_is_under_way_too(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    comes_back = "stays_down: refused (it is down with supervisor x, which may be about to start it again: stop it when that runs)"
    supervisor.runs(agent("x", hold=True))
    supervisor.ask("stays_down")
    supervisor.down(how=HOPELESS)
    supervisor.ask("stays_down")
    assert [comes_back, "stays_down: ok"] == supervisor.answers
    supervisor.post(agent("y"))
    supervisor.ask("start")
    supervisor.ask("stays_down")
    assert comes_back == supervisor.answers[-1]
    supervisor.ask("stays_down", "nobody")
    assert "stays_down: ok" == supervisor.answers[-1]
    supervisor.post(agent("z"))
    supervisor.ask("stays_down", "z")
    assert comes_back.replace("supervisor x", "supervisor z") == supervisor.answers[-1]
    supervisor.tell_core(e.ShutdownRequested())
    supervisor.ask("stays_down", "nobody")
    assert "stays_down: refused" in supervisor.answers[-1]


@RESTARTS
def test_a_stop_below_a_supervisor_that_ends_is_refused_for_it_may_come_back(tmp_path: Path, restart: RestartType) -> None:
    refused = "stop: refused (it is down with its supervisor, which may be about to start it again: stop it when that runs)"
    supervisor = Supervisor(tmp_path)
    supervisor.runs(agent("x", restart))
    supervisor.runs(agent("y", restart))
    supervisor.tell_core(e.ShutdownRequested())
    supervisor.ask("stop")
    assert [] == supervisor.answers
    supervisor.down("y")
    supervisor.ask("stop", "y")
    supervisor.down()
    assert [refused, refused] == supervisor.answers
