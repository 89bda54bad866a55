"""Channels: whatever Thespian does to messages on the way, they are delivered in order and once."""

from hypothesis import given
from hypothesis import strategies as st

from suptree.actors.base.channel import Inbox, Numbered


def numbered(number: int) -> Numbered:
    return Numbered((1, 1), number, f"message {number}")


@given(st.permutations(range(1, 8)), st.lists(st.integers(1, 7), max_size=10))
def test_messages_come_out_in_order_and_once_however_they_arrive(order: list[int], again: list[int]) -> None:
    inbox = Inbox()
    delivered = [message for number in [*order, *again] for message in inbox.take(numbered(number))]
    assert [f"message {number}" for number in range(1, 8)] == delivered
    assert not inbox.waits


def test_a_message_that_was_overtaken_holds_back_those_after_it() -> None:
    inbox = Inbox()
    assert [] == inbox.take(numbered(2))
    assert inbox.waits
    assert ["message 1", "message 2"] == inbox.take(numbered(1))


def test_what_never_comes_can_be_given_up() -> None:
    inbox = Inbox()
    inbox.take(numbered(2))
    inbox.take(numbered(4))
    assert ["message 2"] == inbox.skip()
    assert ["message 4"] == inbox.skip()
    assert [] == inbox.take(numbered(1))
