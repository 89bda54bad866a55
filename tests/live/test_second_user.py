"""Another user of the machine, who is real: he gets nowhere, even where somebody has opened the folders to him."""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from thespian.system.transport.streamBuffer import toSendBuffer

from suptree.actors.notify.notification import NOTIFY_SOCKET
from suptree.actors.record.registry import JOURNAL_FILE
from suptree.control.client.client import Client
from suptree.control.door.http_protocol import MOST_CONNECTIONS
from suptree.control.door.tokens import TokenFile
from suptree.control.seal.tree_key import key_path
from suptree.testing import LiveTree

NOBODY = 65534
SHARED = (Path("/"), Path(tempfile.gettempdir()))
TREE = """
[tree]
name = "castle"
[agents.sleeper]
type = "process_wrapper"
command = "sleep"
args = ["100000"]
"""
STATUS = b"GET /status HTTP/1.1\r\nHost: suptree\r\n\r\n"
SHUTDOWN = b"POST /shutdown HTTP/1.1\r\nHost: %s\r\n\r\n"

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def tree(port: int) -> Iterator[LiveTree]:
    with tempfile.TemporaryDirectory(prefix="st-") as runtime, pytest.MonkeyPatch.context() as patch:
        # A folder of sockets that no other tree uses: other users will be let in.
        patch.setenv("XDG_RUNTIME_DIR", runtime)
        with LiveTree(TREE, listen=f"127.0.0.1:{port}") as tree:
            tree.wait_until_all_run()
            yield tree


@pytest.fixture
def opened(tree: LiveTree) -> Iterator[LiveTree]:
    """The tree, with every folder and socket of it opened to everybody, as nobody ever should."""
    paths = tree.launcher.paths
    folders = [path for path in (*paths.state.parents, *paths.runtime.parents) if path not in SHARED]
    before = {path: path.stat().st_mode & 0o7777 for path in (*paths.runtime.rglob("*"), paths.runtime, paths.state, *folders)}
    try:
        for path in before:
            path.chmod(0o777)
        yield tree
    finally:
        for path, mode in before.items():
            path.chmod(mode)


def as_nobody(act: Callable[[], Any]) -> Any:
    """What `act` returns, or the name of what it raises, in a process of another user; it is a fork, so that what it needs is loaded."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(30)
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                result = act()
            except Exception as error:  # noqa: BLE001  (it is what the test is about)
                result = type(error).__name__
            os.write(writing, json.dumps(result).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


def talk(address: Path | tuple[str, int], request: bytes) -> Callable[[], str]:
    """What says this there, and returns what is heard."""

    def act() -> str:
        with socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET) as connection:
            connection.settimeout(20)
            connection.connect(str(address) if isinstance(address, Path) else address)
            connection.sendall(request)
            return connection.recv(1000).decode()

    return act


def test_the_other_user_is_another_one() -> None:
    assert NOBODY == as_nobody(os.getuid)


@pytest.mark.parametrize("name", ["control.sock", NOTIFY_SOCKET])
def test_the_folder_of_the_sockets_is_closed_to_him(tree: LiveTree, name: str) -> None:
    assert "PermissionError" == as_nobody(talk(tree.launcher.paths.runtime / name, STATUS))


@pytest.mark.parametrize("name", ["token", "seal.key", JOURNAL_FILE, "launcher.log", "run.json"])
def test_he_reads_no_file_of_the_tree(tree: LiveTree, name: str) -> None:
    path = tree.launcher.paths.state / name
    assert (True, "PermissionError") == (path.exists(), as_nobody(lambda: path.read_bytes().hex()))


def test_he_reads_neither_token_nor_key_where_the_folders_are_open(opened: LiveTree) -> None:
    paths = opened.launcher.paths
    assert ["PermissionError"] * 2 == [as_nobody(path.read_bytes) for path in (paths.token_file, key_path(paths.state))]


@pytest.mark.parametrize(("door", "name"), [("control", "control.sock")])
@pytest.mark.parametrize("request_bytes", [STATUS, SHUTDOWN % b"suptree", b'{"hello": {"seq": 9, "rows": [], "events": []}}\n'])
def test_where_the_sockets_are_open_to_him_the_kernel_says_who_he_is(opened: LiveTree, door: str, name: str, request_bytes: bytes) -> None:
    before = opened.status()
    heard = as_nobody(talk(opened.launcher.paths.runtime / name, request_bytes))
    after = opened.status()
    strangers = [status["refused"].get(door, {}).get("stranger", 0) for status in (before, after)]
    assert heard in ("", "ConnectionResetError", "BrokenPipeError")
    assert 1 == strangers[1] - strangers[0]
    assert before["pids"] == after["pids"]


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_no_actor_takes_anything_from_him(tree: LiveTree, tmp_path: Path) -> None:
    before = tree.status()
    pids = {*before["pids"].values(), before["agents"][0]["actor_pid"]} - {before["pids"]["launcher"]}
    listening = [one.laddr for pid in pids for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert len(pids) == len(listening)
    frame = toSendBuffer((None, Canary(tmp_path / "canary")), pickle.dumps)
    for address in listening:
        assert as_nobody(talk((address.ip, address.port), frame)) in ("", "ConnectionResetError")
    refused = {f"actor {name}" for name in ("admin", "logger", "top", "registry", "heartbeat", "sleeper")}
    after = tree.wait_until(lambda s: refused <= s["refused"].keys())
    assert (before["pids"], []) == (after["pids"], list(tmp_path.iterdir()))


def test_on_tcp_he_gets_nothing_without_the_token(tree: LiveTree, port: int) -> None:
    for request in (STATUS.replace(b"suptree", b"localhost"), SHUTDOWN % b"localhost"):
        assert "HTTP/1.1 401 Unauthorized" == as_nobody(talk(("127.0.0.1", port), request)).split("\r\n")[0]
    assert ["running"] == [row["status"] for row in tree.status()["agents"]]


def test_what_he_lacks_is_the_token_alone(tree: LiveTree, port: int) -> None:
    token = TokenFile(tree.launcher.paths.token_file).ensure().encode()
    request = b"GET /status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n" % token
    assert "HTTP/1.1 200 OK" == as_nobody(talk(("127.0.0.1", port), request)).split("\r\n")[0]


def test_proofs_that_he_asks_for_and_does_not_read_keep_nobody_out(tree: LiveTree, port: int) -> None:
    """All places are his, and on each connection there is always something to be answered, or an answer that he does not read."""
    asks = b"GET /proof?nonce=%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 64)
    token = TokenFile(tree.launcher.paths.token_file).ensure()

    async def statuses() -> list[str]:
        names = []
        for _ in range(5):
            async with Client.tcp(f"http://127.0.0.1:{port}", token) as client:
                names.append((await client.status())["tree"])
        return names

    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(socket.socket()) for _ in range(MOST_CONNECTIONS)]
        for peer in peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            peer.connect(("127.0.0.1", port))
            peer.sendall(asks)
            assert b"HTTP/1.1 200" == peer.recv(100)[:12]
        for peer in peers:
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(50):
                    peer.send(asks * 100)
        assert ["castle"] * 5 == asyncio.run(statuses())
