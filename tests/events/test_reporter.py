"""What a supervisor tells the registry, and a new one again."""

from typing import Any

from suptree.actors.base.messages import Happened, Snapshot
from suptree.supervisors.actor.reporter import Reporter

EXIT = {"class": "failed", "reason": "exit 1", "last_error": None}


def test_a_new_registry_is_given_the_evidence_of_the_latest_deaths_and_of_no_more() -> None:
    messages: list[Any] = []

    def send(message: Any) -> bool:
        messages.append(message)
        return True

    reporter = Reporter("root", "run:1", send)
    for incarnation in range(1, 31):
        reporter.tell("agent_exited", "a", incarnation, exit=EXIT, evidence={"err": [str(incarnation)]})
        reporter.tell("agent_decided", "a", incarnation, decision="restart", delay=0.0, why="", affected=[])
    reporter.tell_all_again()

    first, snapshot = messages[0], messages[-1]
    assert isinstance(first, Happened)
    assert {"err": ["1"]} == first.event["evidence"]
    assert isinstance(snapshot, Snapshot)
    assert 60 == len(snapshot.recent)
    kept = {event["incarnation"]: event["evidence"] for event in snapshot.recent if "evidence" in event}
    assert {incarnation: {"err": [str(incarnation)]} for incarnation in range(11, 31)} == kept
