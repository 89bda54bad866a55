"""What tests throw at a socket, and what comes back."""

import contextlib
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Address = Path | tuple[str, int]


class CreatesAFile:
    """Unpickled, it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        """What pickle calls."""
        return os.system, (f"touch {self.path}",)


def attacks(path: Path) -> dict[str, bytes]:
    """Each by name; a process that unpickled one would create a file at `path`."""
    pickled = pickle.dumps(CreatesAFile(path))
    json = b"POST /agents HTTP/1.1\r\nHost: suptree\r\nContent-Type: application/json\r\n"
    chunked = json + b"Transfer-Encoding: chunked\r\n\r\n"
    return {
        "garbage": bytes(range(256)) * 40,
        "zeros": bytes(10_000),
        "tls": bytes.fromhex("16030100c4010000c00303") + bytes(range(185)),
        "thespian": b"%d ,%s" % (len(pickled), pickled),
        "pickle": pickled,
        "pickle_in_http": b"POST /agents HTTP/1.1\r\nHost: suptree\r\nContent-Type: application/pickle\r\nContent-Length: %d\r\n\r\n%s"
        % (len(pickled), pickled),
        "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(50),
        "a_head_without_end": b"GET /status HTTP/1.1\r\nX: " + b"a" * 1_000_000,
        "many_headers": b"GET /status HTTP/1.1\r\n" + b"X: a\r\n" * 100_000,
        "a_length_of_99999999999": json + b"Content-Length: 99999999999\r\n\r\n{",
        "a_length_without_end": b"POST /agents HTTP/1.1\r\nHost: suptree\r\nContent-Length: " + b"9" * 20_000,
        "a_negative_length": b"POST /agents HTTP/1.1\r\nHost: suptree\r\nContent-Length: -1\r\n\r\n",
        "a_bad_chunk": chunked + b"zz\r\n",
        "a_bad_chunk_later": chunked + b"2\r\n{}\r\nzz\r\n",
        "chunks_without_end": chunked + b"10000\r\n" + b"[" * 65536 + b"\r\n" + b"10000\r\n" + b"[" * 65536,
        "websocket": b"GET /status HTTP/1.1\r\nHost: suptree\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "link_hello": b'{"hello": {"seq": 999, "rows": [], "events": []}}\n{"rows": []}\n',
        "link_answer": b'{"answer": {"request": "x", "answer": "ok"}}\n' + b"x" * 100_000,
    }


@contextlib.contextmanager
def connected(address: Address) -> Iterator[socket.socket]:
    """A connection."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(20)
        connection.connect(str(address) if isinstance(address, Path) else address)
        yield connection


def say(address: Address, data: bytes, within: float = 20.0) -> bytes:
    """Say this on a new connection, and hear until it is closed."""
    with connected(address) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        return hear_to_the_end(connection, within)


def hear_to_the_end(connection: socket.socket, within: float) -> bytes:
    """All that comes until the connection is closed; AssertionError when it is still open at the deadline."""
    heard = bytearray()
    deadline = time.monotonic() + within
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            data = connection.recv(65536)
        except TimeoutError:
            break
        except ConnectionError:
            return bytes(heard)
        if not data:
            return bytes(heard)
        heard += data
    raise AssertionError(f"still open after {within} s, having said {bytes(heard[:200])!r}")
