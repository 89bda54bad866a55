"""How much of what one agent says is passed on, on a clock that the test turns."""

from hypothesis import given
from hypothesis import strategies as st

from suptree.actors.base.messages import Suspect
from suptree.actors.heartbeat.allowance import AT_FIRST, Allowance, Passed
from suptree.actors.notify.notification import Notification


def status(number: int, **more: bool) -> Notification:
    return Notification(status=str(number), **more)


def test_what_is_said_seldom_is_passed_on_as_it_is() -> None:
    allowance = Allowance(0.0)
    said = [status(number) for number in range(100)]
    assert [Passed(each, 0) for each in said] == [allowance.hear(each, 1.0 * number) for number, each in enumerate(said)]


def test_of_a_flood_the_first_are_passed_on_and_then_the_last_with_the_number_of_those_between() -> None:
    allowance = Allowance(0.0)
    heard = [allowance.hear(status(number), 0.0) for number in range(1000)]
    assert [Passed(status(number), 0) for number in range(AT_FIRST)] == heard[:AT_FIRST]
    assert {None} == {*heard[AT_FIRST:]}
    assert (1.0, None) == (allowance.due_in(0.0), allowance.due(0.5))
    assert Passed(status(999), 1000 - AT_FIRST - 1) == allowance.due(1.0)
    assert (False, None, None) == (allowance.waits, allowance.due(2.0), allowance.rest())


def test_ready_stopping_and_trigger_are_passed_on_immediately_and_once() -> None:
    allowance = Allowance(0.0)
    for number in range(100):
        allowance.hear(status(number), 0.0)
    assert Passed(Notification(status="99", ready=True), 100 - AT_FIRST) == allowance.hear(Notification(ready=True), 0.0)
    assert None is allowance.hear(status(100, ready=True), 0.0)
    assert Passed(Notification(status="100", ready=True, stopping=True), 1) == allowance.hear(Notification(stopping=True), 0.0)
    assert Passed(Notification(trigger=True), 0) == allowance.hear(Notification(trigger=True), 0.0)
    assert None is allowance.hear(Notification(trigger=True, stopping=True, ready=True), 0.0)


def test_nothing_but_statuses_is_lost_when_notifications_are_merged() -> None:
    allowance = Allowance(0.0)
    for _ in range(AT_FIRST):
        allowance.hear(status(0), 0.0)
    for said in (Notification(watchdog=1.0, status="a"), Notification(extend=2.0, pinged=True), Notification(watchdog=0.0)):
        assert None is allowance.hear(said, 0.0)
    assert Passed(Notification(watchdog=0.0, extend=2.0, status="a", pinged=True), 2) == allowance.rest()


def test_while_the_receiver_is_behind_only_news_is_passed_on_and_the_newest_status_waits() -> None:
    allowance = Allowance(0.0)
    assert [None] * 3 == [allowance.hear(status(number), 0.0, behind=True) for number in range(3)]
    assert (1.0, None) == (allowance.due_in(0.0), allowance.due(1.0, behind=True))
    assert Passed(Notification(status="2", ready=True), 3) == allowance.hear(Notification(ready=True), 1.0, behind=True)
    assert None is allowance.hear(status(3), 2.0, behind=True)
    assert Passed(status(3), 0) == allowance.due(3.0)


SUSPECT, CLEARED = Suspect("a", 1, suspect=True, age=5.0), Suspect("a", 1, suspect=False)


def test_that_an_agent_is_suspect_counts_as_what_it_says_and_of_many_verdicts_the_last_is_passed_on() -> None:
    allowance = Allowance(0.0)
    assert Passed(None, 0, SUSPECT) == allowance.judge(SUSPECT, 0.0)
    for number in range(AT_FIRST):
        allowance.hear(status(number), 0.0)
    assert Passed(status(AT_FIRST - 1), 0) == allowance.rest()
    assert [None] * 3 == [allowance.judge(verdict, 0.5) for verdict in (CLEARED, SUSPECT, CLEARED)]
    assert Passed(None, 0, CLEARED) == allowance.due(1.0)
    # What the receiver knows already is not said.
    assert [None] * 2 == [allowance.judge(verdict, 1.5) for verdict in (SUSPECT, CLEARED)]
    assert (False, None) == (allowance.waits, allowance.due(5.0))
    assert [None, Passed(None, 0, CLEARED)] == [Allowance(0.0, suspect=True).judge(verdict, 0.0) for verdict in (SUSPECT, CLEARED)]


def test_a_verdict_waits_while_the_receiver_is_behind_and_goes_with_what_is_passed_on_first() -> None:
    allowance = Allowance(0.0)
    assert None is allowance.judge(SUSPECT, 0.0, behind=True)
    assert (True, None) == (allowance.waits, allowance.due(1.0, behind=True))
    assert Passed(Notification(ready=True), 0, SUSPECT) == allowance.hear(Notification(ready=True), 1.0, behind=True)
    assert not allowance.waits


WORDS = st.builds(
    Notification,
    ready=st.booleans(),
    trigger=st.booleans(),
    stopping=st.booleans(),
    status=st.none() | st.text(),
    watchdog=st.none() | st.floats(0, 1e12),
    extend=st.none() | st.floats(0, 1e12),
)


@given(said=st.lists(st.tuples(WORDS, st.floats(0, 0.5)), max_size=300))
def test_whatever_an_agent_says_no_more_is_passed_on_than_is_allowed(said: list[tuple[Notification, float]]) -> None:
    allowance, now, passed = Allowance(0.0), 0.0, 0
    for each, pause in said:
        now += pause
        passed += allowance.due(now) is not None
        passed += allowance.hear(each, now) is not None
    # Three are news.
    assert passed <= AT_FIRST + now + 3
