"""Where a tree listens on TCP: only where it was asked to."""

import contextlib
import socket
from pathlib import Path

import psutil
import pytest

from suptree.actors.errors import SuptreeError
from suptree.actors.record.registry import JOURNAL_FILE
from suptree.control.client.client import Client
from suptree.testing import LiveTree
from tests.door.attacks import connected

from .test_control_door import TREE, suptree


def test_a_port_that_is_taken_is_reported_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "tree.toml"
    file.write_text(TREE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = suptree("up", str(file), "-d", "--listen", listen, SUPTREE_HOME=str(tmp_path))
    expected = f"suptree: cannot listen on {listen}: Address already in use; choose another --listen\n"
    assert (1, "", expected) == (done.returncode, done.stdout, done.stderr)
    assert [] == list(tmp_path.rglob(JOURNAL_FILE))


@pytest.mark.parametrize("listen", ["0.0.0.0:8321", "[::]:8321", "10.0.0.1:8321", "example.org:8321", "8321", "127.0.0.1:0"])
def test_what_others_could_reach_is_only_listened_on_when_that_is_said(tmp_path: Path, listen: str) -> None:
    file = tmp_path / "tree.toml"
    file.write_text(TREE)
    done = suptree("up", str(file), "-d", "--listen", listen, SUPTREE_HOME=str(tmp_path))
    assert (2, "", True) == (done.returncode, done.stdout, "--listen" in done.stderr)


def test_a_tree_that_was_not_asked_to_listens_nowhere_else_and_has_no_token() -> None:
    with LiveTree(TREE) as quiet:
        listening = [
            each.laddr
            for process in quiet.processes()
            for each in process.net_connections("inet")
            if each.status == psutil.CONN_LISTEN and answers_http((each.laddr.ip, each.laddr.port))
        ]
        assert ([], None, False) == (listening, quiet.status()["listen"], quiet.launcher.paths.token_file.exists())


def answers_http(address: tuple[str, int]) -> bool:
    """Whether a request gets an answer there."""
    with connected(address) as connection, contextlib.suppress(OSError):
        connection.settimeout(0.3)
        connection.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection.recv(5) == b"HTTP/"
    return False


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "127.0.0.1:80", "http://me:hunter2@127.0.0.1:1", "http://x/?token=y", "http://[", "\0"]
)
def test_a_url_that_cannot_be_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(SuptreeError) as refused:
        Client.tcp(url, "x")
    assert "hunter2" not in str(refused.value)
