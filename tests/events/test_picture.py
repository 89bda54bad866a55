"""What the events of a tree add up to: fields for programs, and a detail for people that is made from them."""

import dataclasses

from suptree.actors.events.entry import Entry
from suptree.actors.events.event_types import (
    Decided,
    Deleted,
    Event,
    Exited,
    Kind,
    Stalled,
    Started,
    Starting,
    StatusText,
    Stopping,
    Suspect,
    WaitCancelled,
)
from suptree.actors.events.picture import Picture, Row
from suptree.actors.events.row_detail import described, detail, remaining
from suptree.actors.exits import Exit, ExitClass
from suptree.control.api.status import agent_status

A = (Kind.AGENT, "a", 1)
FAILED = Exit(ExitClass.FAILED, "exit 1", "no such model")


class Run:
    """A picture whose events have the moment that is given."""

    def __init__(self) -> None:
        self.picture = Picture()
        self.at(0, Starting(*A, restarts=0, actor_pid=1), Started(*A))

    def at(self, moment: float, *events: Event) -> Row:
        """Take events in; return the row of the agent."""
        for event in events:
            self.picture.apply(Entry(event=event, supervisor="root", at="", monotonic=float(moment), source="", serial=0))
        return self.picture.rows["a"]


def decided(decision: str, delay: float = 0.0, affected: tuple[str, ...] = ("a",)) -> Decided:
    return Decided(*A, decision=decision, why="failed (exit 1)", delay=delay, affected=affected)


def test_what_is_left_of_a_wait_is_what_is_left_now() -> None:
    run = Run()
    row = run.at(10, Exited(*A, exit=FAILED), decided("park", 74.2))
    assert (74.2, "park in 74.2 s: failed (exit 1) (no such model)") == (remaining(row, 10), detail(row, 10))
    assert "park in 4.2 s: failed (exit 1) (no such model)" == detail(row, 80)
    assert (0.0, "park in 0.0 s: failed (exit 1) (no such model)") == (remaining(row, 100), detail(row, 100))


def test_a_wait_that_is_cancelled_is_shown_no_more() -> None:
    row = Run().at(10, Exited(*A, exit=FAILED), decided("restart", 5.0), WaitCancelled(*A))
    assert (None, None, None) == (remaining(row, 10), detail(row, 10), row["decision"])


def test_one_that_is_stopped_in_order_to_be_parked_is_parked_when_it_is_down() -> None:
    row = Run().at(10, decided("park", 60.0), Stopping(*A), Exited(*A, exit=Exit(ExitClass.SHUTDOWN, "stop requested")))
    assert ("stopped", "park", 60.0) == (row["status"], row["decision"], remaining(row, 10))
    assert "park in 60.0 s: failed (exit 1)" == detail(row, 10)


def test_who_waits_for_a_sibling_says_for_which_one() -> None:
    run = Run()
    run.at(1, Starting(Kind.AGENT, "b", 1, restarts=0, actor_pid=2))
    run.at(10, Exited(*A, exit=FAILED), decided("restart", 5.0, ("a", "b")))
    other = run.picture.rows["b"]
    assert ("a", "waits for a, and starts along with it") == (other["waiting_for"], detail(other, 10))
    run.at(11, WaitCancelled(*A))
    assert other["waiting_for"] is None


def test_silence_and_standstill_are_fields_and_last_until_now() -> None:
    run = Run()
    row = run.at(10, Suspect(*A, suspect=True, age=3.0))
    assert (True, "suspect: silent for 5.0 s") == (row["suspect"], detail(row, 12))
    row = run.at(13, Suspect(*A, suspect=False), Stalled(*A, seconds=60.0))
    assert (False, True, "stalled: no progress for 62.0 s") == (row["suspect"], row["stalled"], detail(row, 15))
    assert detail(run.at(16, Stalled(*A, seconds=0.0))) is None


def test_what_an_agent_says_of_itself_is_taken_for_nothing_else() -> None:
    row = Run().at(10, StatusText(*A, status="suspecting fraud"))
    shown = agent_status(row)
    assert ("suspecting fraud", None, False, None) == (described(row), detail(row), shown["suspect"], shown["until"])


def test_each_standing_is_a_field_of_the_status() -> None:
    fields = {"hold": "held", "quarantine": "quarantined", "park": "parked"}
    for decision, field in fields.items():
        row = Run().at(10, Exited(*A, exit=FAILED), decided(decision))
        shown = agent_status(row)
        assert {name: name == field for name in fields.values()} == {name: shown[name] for name in fields.values()}
        assert f"{decision}: failed (exit 1) (no such model)" == shown["detail"]


def test_the_events_of_an_old_incarnation_change_nothing() -> None:
    run = Run()
    before = dict(run.at(5, Starting(Kind.AGENT, "a", 2, restarts=1, actor_pid=3)))
    assert before == run.at(6, Suspect(*A, suspect=True, age=1.0), dataclasses.replace(decided("hold"), incarnation=1))


def test_the_row_of_a_deleted_child_is_in_no_list_and_its_next_life_begins_anew_with_the_next_number() -> None:
    run = Run()
    assert run.at(10, Exited(*A, exit=FAILED), Deleted(*A))["deleted"]
    assert [] == run.picture.of_kind("agent")
    row = run.at(11, Starting(Kind.AGENT, "a", 2, restarts=0, actor_pid=2))
    assert ([row], None, None) == (run.picture.of_kind("agent"), row["last_exit"], row["stopped_at"])
    run.at(12, Deleted(Kind.AGENT, "b", 1))
    assert ["a"] == list(run.picture.rows)


def test_of_the_deleted_only_the_newest_are_kept_and_all_others_stay() -> None:
    run = Run()
    for number in range(1100):
        run.at(2, Starting(Kind.AGENT, f"job{number}", 1, restarts=0, actor_pid=2), Exited(Kind.AGENT, f"job{number}", 1, exit=FAILED))
        run.at(3, Deleted(Kind.AGENT, f"job{number}", 1))
    assert ["a", *(f"job{number}" for number in range(100, 1100))] == list(run.picture.rows)
    assert ["a"] == [row["id"] for row in run.picture.of_kind("agent")]


def test_the_row_of_a_child_that_lives_is_not_deleted() -> None:
    run = Run()
    assert ("running", False) == ((row := run.at(10, Deleted(*A)))["status"], row["deleted"])


def test_rows_that_stand_below_each_other_in_a_circle_end_once_each() -> None:
    picture = Picture([{"id": child, "kind": "supervisor", "supervisor": above} for child, above in ("ba", "ab", "cc")])
    assert (["b"], []) == ([row["id"] for row in picture.below("a")], picture.below("c"))
    for child in "bc":
        ended = Exited(Kind.SUPERVISOR, child, 1, exit=FAILED)
        picture.apply(Entry(event=ended, supervisor="root", at="", monotonic=1.0, source="", serial=0))
    assert ["crashed"] * 3 == [row["status"] for row in picture.rows.values()]


def test_what_waits_when_its_supervisor_ends_waits_no_more() -> None:
    run = Run()
    for child in "bc":
        run.at(1, Starting(Kind.AGENT, child, 1, restarts=0, actor_pid=2), Started(Kind.AGENT, child, 1))
    run.at(10, decided("park", 60.0, ("a", "b")), Stopping(*A), Exited(Kind.AGENT, "b", 1, exit=FAILED))
    run.picture.rows["root"] = {**run.picture.rows["c"], "id": "root", "kind": "supervisor", "supervisor": "top"}
    run.at(11, Exited(Kind.SUPERVISOR, "root", 1, exit=FAILED))
    rows = [run.picture.rows[child] for child in "abc"]
    assert [("crashed", None, None, None)] * 3 == [(row["status"], row["until"], row["decision"], row["waiting_for"]) for row in rows]
