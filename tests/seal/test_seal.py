"""The seal between two processes: what it lets through, and all that it does not."""

import contextlib
import gc
import socket
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suptree.actors.errors import SuptreeError
from suptree.control.refusals import Why
from suptree.control.seal.encrypted_seal import LATE_AFTER, EncryptedSeal
from suptree.control.seal.seal import Seal
from suptree.control.seal.sealed_socket import FRAME_LIMIT, SealedSocket

from .connections import KEY, OTHER_KEY, SEALS, ByHand, hear, pump, say, sealed_pair, tcp_pair

MESSAGE = b"17>one message, whole"
each_seal = pytest.mark.parametrize("seal", [kind(KEY) for kind in SEALS], ids=["authenticated", "encrypted"])


def heard(seal: Seal, said: bytes, port: int = 0) -> tuple[bytes | None, Why | None]:
    """What a server makes of bytes that come all together: what it hears, and why it hangs up."""
    with tcp_pair(port) as (client, plain), SealedSocket.accepted(seal, plain) as server:
        server.setblocking(False)
        client.sendall(said)
        return (server.recv() if pump(server) else None), server.refused


@each_seal
@pytest.mark.parametrize("size", [1, 100, 5_000_000])
def test_messages_come_whole_both_ways_and_in_order(seal: Seal, size: int) -> None:
    messages = [bytes([number]) * size for number in range(3)]
    with sealed_pair(seal, seal) as ends:
        ends.greet()
        there = [say(ends.client, ends.server, message) for message in messages]
        back = [say(ends.server, ends.client, message) for message in messages]
    assert (messages, messages) == (there, back)


@each_seal
def test_before_the_other_end_has_proved_itself_nothing_is_said(seal: Seal) -> None:
    with tcp_pair() as (plain, impostor), SealedSocket(seal, plain.family, plain.type, plain.proto, plain.detach()) as client:
        client.setblocking(False)
        assert 0 == client.send(MESSAGE)
        impostor.sendall(bytes(64))
        assert (b"", Why.FORGED, 0) == (hear(client), client.refused, client.send(MESSAGE))
        assert 48 == len(impostor.recv(1000))


@each_seal
def test_another_tree_is_refused_by_both_ends(seal: Seal) -> None:
    other = type(seal)(OTHER_KEY)
    with sealed_pair(other, seal) as ends:
        ends.greet()
        assert (Why.FORGED, False) == (ends.client.refused, ends.client.is_open)
    with tcp_pair() as (client, plain), SealedSocket.accepted(seal, plain) as server:
        server.setblocking(False)
        by_hand = ByHand(client, other)
        by_hand.greet(server)
        client.sendall(by_hand.frame(MESSAGE))
        assert (b"", Why.FORGED) == (hear(server), server.refused)


@each_seal
def test_one_bit_that_was_changed_anywhere_is_refused(seal: Seal) -> None:
    bits = 8 * (len(seal.GREETING) + 32 + 32 + 4 + len(MESSAGE) + seal.OVERHEAD)
    refusals = set()
    for bit in range(bits):
        with tcp_pair() as (client, plain), SealedSocket.accepted(seal, plain) as server:
            server.setblocking(False)
            by_hand = ByHand(client, seal, flip=bit)
            with contextlib.suppress(ConnectionResetError):
                by_hand.greet(server)
                by_hand.send(by_hand.frame(MESSAGE))
            client.shutdown(socket.SHUT_WR)
            if server.fileno() >= 0:
                assert b"" == hear(server), bit
            refusals.add(server.refused)
    # None: a length that says that more will come, when nothing more does.
    assert {Why.UNSEALED, Why.FORGED, Why.TOO_LARGE, None} == refusals


@each_seal
def test_what_was_not_changed_is_heard(seal: Seal) -> None:
    with tcp_pair() as (client, plain), SealedSocket.accepted(seal, plain) as server:
        server.setblocking(False)
        by_hand = ByHand(client, seal)
        by_hand.greet(server)
        by_hand.send(by_hand.frame(MESSAGE))
        assert MESSAGE == hear(server)

        port = server.getsockname()[1]
    # The whole of it again, to a server that is the same except for its nonce.
    assert (b"", Why.FORGED) == heard(seal, by_hand.said, port)


@each_seal
@pytest.mark.parametrize("order", [(0, 0), (1,), (0, 2), (0, 1, 1), (0, 1, 0)])
def test_a_frame_that_comes_twice_or_out_of_order_is_refused(seal: Seal, order: tuple[int, ...]) -> None:
    with tcp_pair() as (client, plain), SealedSocket.accepted(seal, plain) as server:
        server.setblocking(False)
        by_hand = ByHand(client, seal)
        by_hand.greet(server)
        frames = [by_hand.frame(b"%d" % number) for number in range(3)]
        for number in order:
            client.sendall(frames[number])
        heard = []
        while message := hear(server):
            heard.append(message)
        in_order = [b"%d" % number for place, number in enumerate(order) if order[: place + 1] == tuple(range(place + 1))]
        assert (in_order, Why.FORGED) == (heard, server.refused)


@each_seal
def test_a_frame_that_is_sent_back_is_refused(seal: Seal) -> None:
    with tcp_pair() as (client, plain), SealedSocket.accepted(seal, plain) as server:
        server.setblocking(False)
        by_hand = ByHand(client, seal)
        by_hand.greet(server)
        while not server.is_open:
            pump(server)
        server.send(MESSAGE)
        client.sendall(client.recv(1000))
        assert (b"", Why.FORGED) == (hear(server), server.refused)


@each_seal
def test_a_stranger_that_stands_between_two_processes_is_refused(seal: Seal) -> None:
    with (
        tcp_pair() as (plain, middle_server),
        tcp_pair() as (middle_client, plain_server),
        SealedSocket(seal, plain.family, plain.type, plain.proto, plain.detach()) as client,
        SealedSocket.accepted(seal, plain_server) as server,
    ):
        client.setblocking(False)
        server.setblocking(False)
        client.greet()
        middle_client.sendall(middle_server.recv(1000))
        pump(server)
        middle_server.sendall(middle_client.recv(1000))
        assert pump(client)
        assert (Why.FORGED, False, False) == (client.refused, client.is_open, server.is_open)


@pytest.mark.parametrize(
    "said",
    [
        b"\0", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01", b"18>\x80\x04", b"99999999999>", b"1" * 1_000_000, b"suptree seal 3 \n",
        b"suptree seal 2 \n",
    ],
)  # fmt: skip
def test_a_stranger_that_begins_otherwise_is_refused_unread(said: bytes) -> None:
    assert (b"", Why.UNSEALED) == heard(Seal(KEY), said)


@each_seal
def test_half_a_greeting_is_waited_for_and_costs_its_own_size(seal: Seal) -> None:
    assert (None, None) == heard(seal, (seal.GREETING + bytes(32))[:-1])


@each_seal
@pytest.mark.parametrize("length", [0, 15, FRAME_LIMIT + 25, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_before_anything_is_kept(seal: Seal, length: int) -> None:
    with tcp_pair() as (client, plain), SealedSocket.accepted(seal, plain) as server:
        server.setblocking(False)
        ByHand(client, seal).greet(server)
        client.sendall(length.to_bytes(4, "big"))
        assert (b"", Why.TOO_LARGE) == (hear(server), server.refused)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_noise_is_never_heard(noise: bytes, after_greeting: bool) -> None:
    assert heard(Seal(KEY), (Seal.GREETING if after_greeting else b"") + noise)[0] in (None, b"")


def test_an_encrypted_message_cannot_be_read_and_an_authenticated_one_can() -> None:
    readable = {}
    for seal in (Seal(KEY), EncryptedSeal(KEY)):
        with tcp_pair() as (client, plain), SealedSocket.accepted(seal, plain) as server:
            server.setblocking(False)
            by_hand = ByHand(client, seal)
            by_hand.greet(server)
            readable[type(seal)] = MESSAGE in by_hand.frame(MESSAGE)
    assert {Seal: True, EncryptedSeal: False} == readable


@pytest.mark.parametrize(("on_its_way", "expected"), [(0.0, MESSAGE), (LATE_AFTER - 1, MESSAGE), (LATE_AFTER + 1, b"")])
def test_an_encrypted_message_that_comes_late_is_refused_whatever_the_clocks_say(on_its_way: float, expected: bytes) -> None:
    here, there = [1_000_000.0], [5.0]
    with sealed_pair(EncryptedSeal(KEY, lambda: here[0]), EncryptedSeal(KEY, lambda: there[0])) as ends:
        ends.greet()
        for clock in (here, there):
            clock[0] += 3600.0
        ends.client.send(MESSAGE)
        there[0] += on_its_way
        assert (expected, None if expected else Why.LATE) == (hear(ends.server), ends.server.refused)


def test_a_connection_that_is_dropped_is_closed_immediately() -> None:
    gc.disable()
    try:
        with tcp_pair() as (client, plain):
            client.settimeout(5)
            server = SealedSocket.accepted(Seal(KEY), plain)
            del server
            assert b"" == client.recv(1)
    finally:
        gc.enable()


def test_without_the_library_that_encrypts_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(SuptreeError, match=r"needs encryption, which is not installed: pip install 'suptree\[cluster\]'"):
        EncryptedSeal(KEY)
