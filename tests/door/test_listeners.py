"""Where a tree may listen, and whom its Unix sockets admit."""

import os
import socket
import stat
from pathlib import Path

import pytest

from suptree.actors.kernel.peers import Peer, is_owner
from suptree.control.door.listeners import Address, listen_on_address, listen_on_path, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8321", Address("127.0.0.1", 8321)),
        ("localhost:1", Address("127.0.0.1", 1)),
        ("[::1]:65535", Address("::1", 65535)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),  # noqa: S104
        ("[2001:db8:0:0::1]:80", Address("2001:db8::1", 80)),
    ],
)
def test_an_address_is_read(text: str, expected: Address) -> None:
    assert expected == parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "8321", ":8321", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8e1",
        "127.0.0.1:\u0661", "::1:80", "[127.0.0.1]:80", "[::1%lo]:80", "[::1]", "example.org:80", "127.1:80", "127.0.0.1:99999999999",
        "user@127.0.0.1:80", " 127.0.0.1:80", "localhost.:80",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_address(text)


def test_an_address_knows_what_it_may_be_called() -> None:
    loopback = {"localhost", "127.0.0.1", "::1"}
    expected = [loopback, loopback | {"127.0.0.5"}, loopback, {"10.0.0.1"}, set(), set()]
    assert expected == [set(Address(host, 1).hosts) for host in ("127.0.0.1", "127.0.0.5", "::1", "10.0.0.1", "0.0.0.0", "::")]  # noqa: S104


def test_only_the_owner_and_root_are_owners() -> None:
    mine = os.getuid()
    assert [True, True, False] == [is_owner(Peer(1, uid)) for uid in (mine, 0, mine + 1)]


def test_a_socket_of_a_path_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "socket").write_text("left behind")
    with listen_on_path(tmp_path / "socket"):
        found = (tmp_path / "socket").stat().st_mode
    assert (True, 0o600) == (stat.S_ISSOCK(found), stat.S_IMODE(found))


def test_a_stranger_is_closed_unread_and_counted(tmp_path: Path) -> None:
    strangers: list[str] = []
    with listen_on_path(tmp_path / "socket") as listener:
        listener.admits, listener.on_stranger = lambda peer: peer.pid != os.getpid(), lambda: strangers.append("one")
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(tmp_path / "socket"))
            peer.send(b"never read")
            with pytest.raises(ConnectionAbortedError):
                listener.accept()
            peer.settimeout(5)
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
    assert ["one"] == strangers


def test_a_peer_that_is_admitted_is_handed_out(tmp_path: Path) -> None:
    peers: list[Peer] = []
    with listen_on_path(tmp_path / "socket") as listener:
        listener.admits = lambda peer: not peers.append(peer)  # type: ignore[func-returns-value]
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(tmp_path / "socket"))
            connection, _ = listener.accept()
            peer.send(b"read")
            assert (b"read", [Peer(os.getpid(), os.getuid())]) == (connection.recv(10), peers)
            connection.close()


def test_a_port_that_is_taken_is_reported() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match=rf"^cannot listen on 127.0.0.1:{port}: Address already in use; choose another --listen$"):
            listen_on_address(Address("127.0.0.1", port))
