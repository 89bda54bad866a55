"""What a datagram says: sd_notify(3), and anything else that somebody may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suptree.actors.notify.notification import Notification, parse


@pytest.mark.parametrize(
    ("datagram", "said"),
    [
        (b"READY=1", Notification(ready=True)),
        (b"READY=1\n", Notification(ready=True)),
        (b"READY=1\0", Notification(ready=True)),
        (b"READY=0", Notification()),
        (b"READY=1\nSTATUS=a=b\xe2\x80\xa8c\nMAINPID=1", Notification(ready=True, status="a=b\u2028c")),
        (b"STATUS=", Notification(status="")),
        (b"WATCHDOG=1", Notification(pinged=True)),
        (b"WATCHDOG=trigger", Notification(trigger=True)),
        (b"WATCHDOG_USEC=2500000", Notification(watchdog=2.5)),
        (b"WATCHDOG_USEC=0", Notification(watchdog=0.0)),
        (b"EXTEND_TIMEOUT_USEC=500000", Notification(extend=0.5)),
        (b"EXTEND_TIMEOUT_USEC=18446744073709551615", Notification(extend=18446744073709.551615)),
        (b"EXTEND_TIMEOUT_USEC=18446744073709551616", Notification()),
        (b"EXTEND_TIMEOUT_USEC=-1\nWATCHDOG_USEC=1e6", Notification()),
        (b"WATCHDOG_USEC=" + b"9" * 4000, Notification()),
        ("WATCHDOG_USEC=٣".encode(), Notification()),
        (b"STOPPING=1", Notification(stopping=True)),
        (b"BARRIER=1", Notification()),
        (b"MAINPID=1\nFDSTORE=1\nX_OURS=yes", Notification()),
    ],
)
def test_what_a_datagram_says(datagram: bytes, said: Notification) -> None:
    assert said == parse(datagram)


@pytest.mark.parametrize("datagram", [b"", b"\n", b"\0", b"READY", b"=1", b"READY=1\nREADY", b"READY=1\0\0", b"STATUS=\0x", b"STATUS=\xff"])
def test_what_is_not_of_the_protocol(datagram: bytes) -> None:
    assert parse(datagram) is None


@pytest.mark.parametrize(
    ("status", "waits"), [("waiting", True), ("waiting for a person", True), ("awaiting", False), ("Waiting", False), ("", False)]
)
def test_an_agent_can_say_that_it_waits(status: str, waits: bool) -> None:
    assert waits == Notification(status=status).waits


def test_only_what_is_more_than_a_ping_is_reported_to_others() -> None:
    assert [False, False, True, True] == [
        Notification().changes_state,
        Notification(pinged=True).changes_state,
        Notification(pinged=True, ready=True).changes_state,
        Notification(watchdog=0.0).changes_state,
    ]


KEYS = ("READY", "STATUS", "WATCHDOG", "WATCHDOG_USEC", "STOPPING", "EXTEND_TIMEOUT_USEC", "BARRIER", "MAINPID")
LINES = st.tuples(st.sampled_from(KEYS) | st.text(), st.sampled_from(("=", "", "==")), st.sampled_from(("1", "trigger", "")) | st.text())


@given(st.binary() | st.lists(LINES.map("".join)).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")))
def test_no_datagram_breaks_the_parser_and_what_it_understands_is_in_bounds(datagram: bytes) -> None:
    said = parse(datagram)
    if said is not None:
        for seconds in (said.watchdog, said.extend):
            assert seconds is None or 0 <= seconds < 2**45
        assert said.status is None or ("\n" not in said.status and "\0" not in said.status)
