"""What a supervisor reports to the registry, and a new one again."""

from typing import Any

from suptree.actors.base.messages import Reported, Snapshot
from suptree.actors.events.event_types import Decided, Exited, Kind
from suptree.actors.exits import Exit, ExitClass
from suptree.supervisors.actor.reporter import Reporter

EXIT = Exit(ExitClass.FAILED, "exit 1")


def test_a_new_registry_is_given_the_evidence_of_the_latest_deaths_and_of_no_more() -> None:
    sent: list[Any] = []

    def send(message: Any) -> bool:
        sent.append(message)
        return True

    reporter = Reporter("root", "run:1", send)
    for incarnation in range(1, 31):
        reporter.report(Exited(Kind.AGENT, "a", incarnation, exit=EXIT), evidence={"err": [str(incarnation)]})
        reporter.report(Decided(Kind.AGENT, "a", incarnation, decision="restart", why=""))
    reporter.report_all_again()

    first, snapshot = sent[0], sent[-1]
    assert isinstance(first, Reported)
    assert {"err": ["1"]} == first.entry.evidence
    assert isinstance(snapshot, Snapshot)
    assert 60 == len(snapshot.recent)
    kept = [(entry.event, entry.evidence) for entry in snapshot.recent if entry.evidence is not None]
    assert [(Exited(Kind.AGENT, "a", n, exit=EXIT), {"err": [str(n)]}) for n in range(11, 31)] == kept
