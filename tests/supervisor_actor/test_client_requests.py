"""The requests of clients, with a real core and no actor: each is answered once."""

import time
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.base.messages import Answered, ClientRequest
from suptree.supervisors.actor.client_requests import ClientRequests
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.supervisors.core.core import SupervisorCore
from suptree.supervisors.decisions import core_commands as c
from suptree.supervisors.decisions import core_events as e
from suptree.supervisors.spec.child_spec import SupervisorFlags
from tests.supervisor_actor.living_children import SLEEPER

SPECS = (agent_child_from_config("a", "process_wrapper", SLEEPER, "/"),)


class Supervisor:
    """A core whose child starts immediately, and what its clients are answered."""

    def __init__(self, state_dir: Path) -> None:
        self.answers: list[Answered] = []
        self.shut_downs = 0
        self.core = SupervisorCore(SupervisorFlags(), SPECS, uniform=lambda low, _high: low)
        self.requests = ClientRequests(
            SPECS,
            self.core,
            {},
            str(state_dir),
            row=lambda _child_id: None,
            report=lambda _event: None,
            tell_core=self.tell_core,
            answer=self.answers.append,
            shut_down=self.shut_down,
        )
        self.tell_core(e.SupervisorStarted())

    def tell_core(self, event: e.Event) -> None:
        for command in self.core.handle(event, time.monotonic()):
            if isinstance(command, c.StartChild):
                self.tell_core(e.ChildStarted(command.spec.id, command.incarnation))
            elif isinstance(command, c.Reply):
                self.requests.conclude(command)

    def shut_down(self) -> None:
        self.shut_downs += 1

    def asked(self, operation: str, target: str = "a", **arguments: Any) -> list[tuple[str, Any]]:
        """What a request is answered with."""
        before = len(self.answers)
        self.requests.take(ClientRequest(f"{operation} {before}", operation, target, arguments))
        return [(answered.answer, answered.value) for answered in self.answers[before:]]


@pytest.mark.parametrize("word", ["fly", "", "_stop", "finish", "_finish", "forget_checkpoints", "_forget_checkpoints", "_init__"])
def test_a_word_that_names_no_operation_is_refused_once(tmp_path: Path, word: str) -> None:
    assert [("refused", f"no such operation: {word}")] == Supervisor(tmp_path).asked(word)


def test_the_operations_of_otp_are_answered_by_the_core(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    assert [("ok", (1, 1))] == supervisor.asked("count_children")
    assert ["running"] == [row["state"] for _answer, rows in supervisor.asked("which_children") for row in rows]
    assert ["running"] == [answer for answer, _value in supervisor.asked("restart_child")]
    for operation in ("terminate_child", "delete_child", "delete"):
        assert ["not_found"] == [answer for answer, _value in supervisor.asked(operation, "nobody")]


def test_a_request_that_comes_again_gets_the_same_answer_and_is_not_carried_out_twice(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    request = ClientRequest("once", "shutdown", "root", {})
    for _ in range(2):
        supervisor.requests.take(request)
    assert ([Answered("once", "ok")] * 2, 1) == (supervisor.answers, supervisor.shut_downs)


def test_a_message_to_an_agent_that_does_not_run_is_refused(tmp_path: Path) -> None:
    assert [("refused", "it is not running")] == Supervisor(tmp_path).asked("tell", text="hello")
