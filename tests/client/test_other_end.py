"""A client on TCP says its token only to a tree that has proved that it knows it."""

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from suptree.actors.errors import AccessRefused, SuptreeError
from suptree.control.client import other_end
from suptree.control.client.client import Client
from suptree.control.door.proof import proof
from suptree.control.door.tokens import TokenFile
from suptree.testing import LiveTree

TREE = '[tree]\nname = "t"\n[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\nstop = { sigint = 1 }\n'
TOKEN = "the-token-that-nobody-is-to-hear-before-a-proof"  # noqa: S105
Answer = Callable[[bytes], bytes]


def http(body: object, status: str = "200 OK") -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(text), text)


class Impostor:
    """Listens on loopback, answers every read as it was set, and keeps all that it hears."""

    def __init__(self, answer: Answer, host: str = "127.0.0.1", port: int = 0) -> None:
        self._answer = answer
        self.heard = b""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    while said := connection.recv(65536):
                        self.heard += said
                        connection.sendall(self._answer(said))
                except OSError:
                    continue

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def asks(url: str, token: str) -> str:
    async def ask() -> str:
        async with Client.tcp(url, token) as client:
            return str((await client.status())["tree"])

    return asyncio.run(ask())


ANSWERS: dict[str, Answer] = {
    "a status of its own": lambda _said: http({"tree": "t"}),
    "a proof that it has made up": lambda _said: http({"proof": "0" * 64}),
    "what it was asked": lambda said: http({"proof": re.findall(rb"nonce=(\w+)", said)[0].decode()}),
    "a proof with another key": lambda said: http({"proof": proof(b"", re.findall(rb"nonce=(\w+)", said)[0].decode(), "127.0.0.1", 1)}),
    "the words of an older tree": lambda _said: http({"error": "AccessRefused", "message": "the token is missing"}, "401 Unauthorized"),
    "no HTTP": lambda _said: b"\0" * 1000,
    "a body without end": lambda _said: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000,
    "a proof that is no text": lambda _said: http({"proof": ["\u2028", 1]}),
    "half a character": lambda _said: http({"proof": "\ud800"}),
    "nothing but numbers": lambda _said: http(17),
    "lists without end": lambda _said: b"HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n" + b"[" * 16_000,
}


@pytest.mark.parametrize("what", ANSWERS)
def test_no_token_is_sent_to_one_that_answers_with(what: str) -> None:
    impostor = Impostor(ANSWERS[what])
    try:
        with pytest.raises(AccessRefused, match="did not prove that it knows the token, so it was not sent"):
            asks(f"http://127.0.0.1:{impostor.port}", TOKEN)
    finally:
        impostor.end()
    assert (True, False) == (b"GET /proof?nonce=" in impostor.heard, TOKEN.encode() in impostor.heard)


def test_one_that_answers_a_byte_at_a_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_end, "_LIMIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_slowly() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n")
                for _ in range(1000):
                    connection.sendall(b" ")
                    time.sleep(0.05)

        thread = threading.Thread(target=answer_slowly)
        thread.start()
        with pytest.raises(AccessRefused, match="did not prove that it knows the token, so it was not sent"):
            asks(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN)
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with LiveTree(TREE, listen=f"127.0.0.1:{port}") as tree:
        yield tree


def token_of(tree: LiveTree) -> str:
    return TokenFile(tree.launcher.paths.token_file).ensure()


def has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def is_whole(answer: bytes) -> bool:
    """Whether head and body of an HTTP answer are there: they may come one after the other."""
    length = re.search(rb"(?i)content-length: (\d+).*?\r\n\r\n", answer, re.DOTALL)
    return length is not None and len(answer) >= length.end() + int(length[1])


@pytest.mark.parametrize("where", ["127.0.0.1", "127.0.0.2", "::1"])
def test_one_that_has_the_tree_make_the_proof_hears_no_token(tree: LiveTree, where: str) -> None:
    """It passes on what it is asked, with the Host that the tree wants, and what the tree answers.

    On another address of loopback it may listen on the very port of the tree.
    """
    address = str(tree.status()["listen"])
    host, _, port = address.rpartition(":")
    if where == "::1" and not has_ipv6_loopback():
        pytest.skip("this machine has no ::1")

    def relay(said: bytes) -> bytes:
        with socket.create_connection((host, int(port))) as real:
            real.sendall(re.sub(rb"Host: [^\r]*", b"Host: " + address.encode(), said))
            answer = b""
            while not is_whole(answer):
                answer += real.recv(65536)
            return answer

    impostor = Impostor(relay, where, 0 if where == host else int(port))
    token = token_of(tree)
    try:
        with pytest.raises(AccessRefused, match="did not prove"):
            asks(f"http://{f'[{where}]' if ':' in where else where}:{impostor.port}", token)
    finally:
        impostor.end()
    assert (True, False) == (b"GET /proof" in impostor.heard, token.encode() in impostor.heard)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_tree_itself_proves_it(tree: LiveTree, name: str) -> None:
    port = str(tree.status()["listen"]).rpartition(":")[2]
    assert "t" == asks(f"http://{name}:{port}", token_of(tree))


def test_a_proof_is_made_for_a_well_formed_request_and_opens_nothing(tree: LiveTree) -> None:
    address = str(tree.status()["listen"])
    host, _, port = address.rpartition(":")

    def status_of(target: str, more: str = "") -> str:
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n".encode())
            return connection.recv(65536).split(b" ", 2)[1].decode()

    good = f"/proof?nonce={'0' * 64}"
    assert "200" == status_of(good)
    bad = ("/proof", "/proof?nonce=", f"/proof?nonce={'0' * 63}", f"/proof?nonce={'g' * 64}", f"{good}&a=b", f"/status?nonce={'0' * 64}")
    assert ["401"] * len(bad) == [status_of(target) for target in bad]
    assert "403" == status_of(good, "Origin: http://example.org\r\n")
    with pytest.raises(SuptreeError):
        asks(f"http://{address}", "0" * 64)
