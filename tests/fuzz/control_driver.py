"""The control API in this process, as the launcher serves it, on a connection of memory: bytes in, and every fault out."""

import asyncio
import json
import logging
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from suptree.actors.events.picture import Picture
from suptree.actors.exits import ExitClass
from suptree.control.api.api import make_app
from suptree.control.door import bounds
from suptree.control.door.header_checks import UNIX_HOSTS, Door
from suptree.control.door.http_protocol import HEAD_LIMIT, BoundedProtocol, Crowd
from suptree.control.launcher.link import Link
from suptree.control.trees.paths import TreePaths
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.supervisors.config.wire import decode_child, encode_child
from suptree.supervisors.spec.ids import ROOT

_IN_TIME = 5.0
_FOLLOWED_FOR = 0.02
_HEAD = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) ")
_METHODS = ("GET", "POST", "HEAD", "DELETE", "OPTIONS")
_MOST_PATHS = 200
_MOST_JSON = 240
_PATHS = (
    "/status", "/picture", "/events", "/agents", "/agents/a", "/agents/a/logs", "/agents/a/forecast", "/agents/a/explanation",
    "/agents/a/tell", "/agents/a/ask", "/agents/a/attach", "/agents/a/stop", "/agents/a/start", "/agents/b/restart",
    f"/agents/{ROOT}/which_children", "/shutdown", "/",
)  # fmt: skip
_PARAMETERS = ("after", "follow", "lines", "previous", "class", "reason", "other")
_VALUES = ("0", "1", "-1", "1e9", "true", "false", "crash", "99999999999999999999", "NaN", "", "%00", "%ff", "a" * 2000)


class Fault(Exception):
    """The API did what it never may."""


class _AnswersAtOnce(Link):
    """A link whose registry is always there, and carries nothing out."""

    async def ask(
        self,
        operation: str,
        target: str,
        arguments: dict[str, Any] | None = None,
        *,
        limit: float,  # noqa: ARG002  (the same)
        hear: Callable[[Any], None] | None = None,
        request: str | None = None,  # noqa: ARG002  (the same)
    ) -> dict[str, Any]:
        """An answer as a supervisor gives it."""
        sent = json.loads(json.dumps({"operation": operation, "target": target, "arguments": arguments or {}}).encode())
        value: Any = None
        if operation == "forecast":
            value = {"decision": "restart", "why": "", "restarts_left": 1, "actions": [], "exit": None}
            ExitClass(sent["arguments"]["class"])
        if operation == "start_child":
            decode_child(sent["arguments"]["spec"])
        if operation == "ask" and sent["arguments"]["stream"] and hear is not None:
            hear({"number": 1, "part": "a reply"})
            value = 1
        if operation == "ping_ages":
            value = {"a": 0.1}
        await asyncio.sleep(0)
        return {"answer": "ok", "value": value, "seq": 1}


class _Memory(asyncio.Transport):
    """A connection whose other end reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        """Take what would be sent."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close it."""
        self.closed = True

    def abort(self) -> None:
        """Close it."""
        self.closed = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing: all is read together."""

    def pause_reading(self) -> None:
        """Nothing: it hands on what it is given."""

    def resume_reading(self) -> None:
        """Nothing."""


class Driver:
    """One launcher's API; `feed` is one connection."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._faults: list[str] = []
        self._loop.set_exception_handler(lambda _loop, context: self._faults.append(repr(context)))
        logger = logging.getLogger("uvicorn.error")
        logger.addHandler(_Into(self._faults))
        logger.propagate = False
        bounds.log = cast(Any, SimpleNamespace(error=lambda event, **fields: self._faults.append(f"{event} {fields}")))
        self._home = tempfile.TemporaryDirectory(prefix="suptree-fuzz-")
        self.launcher = _launcher(Path(self._home.name))
        api = make_app(cast(Any, self.launcher))
        self._crowd = Crowd(lambda _why: None)
        app = Door(bounds.Bounds(api, self._crowd.refused), self._crowd.refused, UNIX_HOSTS)
        self._config = uvicorn.Config(
            app, log_config=None, log_level="error", access_log=False, ws="none", lifespan="off", h11_max_incomplete_event_size=HEAD_LIMIT
        )
        self._config.load()
        self._state = ServerState()

    def feed(self, data: bytes) -> None:
        """One connection that says this, in two parts, and ends. Raises Fault."""
        self._loop.run_until_complete(self._feed(data))
        if self._faults:
            faults = "; ".join(self._faults)
            self._faults.clear()
            raise Fault(faults)

    async def _feed(self, data: bytes) -> None:
        transport = _Memory()
        protocol = BoundedProtocol(self._crowd, {}, config=self._config, server_state=self._state, _loop=self._loop)
        protocol.connection_made(transport)
        middle = len(data) // 2
        for part in (data[:middle], data[middle:]):
            if part and not transport.closed:
                protocol.data_received(part)
            await asyncio.sleep(0)
        if self._state.tasks:
            # Followers go on until the connection ends.
            await asyncio.wait(self._state.tasks, timeout=_FOLLOWED_FOR)
        protocol.connection_lost(None)
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=_IN_TIME)
            if late:
                self._faults.append(f"{len(late)} requests go on without their connection")
        written = bytes(transport.written)
        found = _HEAD.match(written)
        if written and found is None:
            self._faults.append(f"no HTTP: {written[:100]!r}")
        elif found is not None and found[1] == b"500":
            self._faults.append(f"answered 500: {written[:300]!r}")


class _Into(logging.Handler):
    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        """A line in uvicorn's log is a fault."""
        self._faults.append(self.format(record))


def _launcher(home: Path) -> SimpleNamespace:
    link = _AnswersAtOnce()
    link.picture = Picture(
        {**_row, "id": child, "kind": kind, "supervisor": above}
        for child, kind, above in (
            ("root", "supervisor", "top"),
            ("a", "agent", "root"),
            ("b", "agent", "root"),
            ("registry", "service", "top"),
        )
    )
    event = {"event": "agent_started", "id": "a", "incarnation": 1, "at": "2020-01-01T00:00:00.000Z", "monotonic": 1.0}
    link.events.extend({**event, "seq": seq} for seq in range(1, 4))
    paths = TreePaths("fuzz", home / "state", home / "run")
    (paths.state / "logs").mkdir(parents=True)
    (paths.state / "logs" / "a.log").write_text("2020-01-01T00:00:00.000Z #1 out one\n2020-01-01T00:00:00.000Z #2 out two\n")
    return SimpleNamespace(
        link=link,
        paths=paths,
        orders=SimpleNamespace(name="fuzz"),
        started_at=0.0,
        pids={"launcher": 1},
        listen=None,
        file_differs=lambda: None,
        root=None,
        refusals=SimpleNamespace(counts={}),
        ask_to_stop=lambda _asks: None,
    )


_row: dict[str, Any] = {
    "type": "process_wrapper", "node": "local", "status": "running", "pid": None, "actor_pid": None, "incarnation": 2, "restarts": 1,
    "started_at": None, "started": None, "stopped_at": None, "status_text": None, "last_exit": None, "config": {},
    "restarted_at": [], "strategy": "one_for_one", "max_restarts": 1, "within": 5.0,
}  # fmt: skip


def request_from(data: bytes) -> bytes:
    """A request that is good HTTP, to a path that is nearly one of ours: the first six bytes choose, the rest is the body."""
    method, path, how, *values = data[:6].ljust(6, b"\0")
    where = _PATHS[path % len(_PATHS)] + ("" if path < _MOST_PATHS else f"/%{path:02x}")
    parameters = [f"{_PARAMETERS[value % len(_PARAMETERS)]}={_VALUES[value // 8 % len(_VALUES)]}" for value in values[: how % 4]]
    query = "?" + "&".join(parameters) if parameters else ""
    body = data[6:]
    kind = "Content-Type: application/json\r\n" if how < _MOST_JSON else ""
    head = f"{_METHODS[method % len(_METHODS)]} {where}{query} HTTP/1.1\r\nHost: suptree\r\nContent-Length: {len(body)}\r\n{kind}\r\n"
    return head.encode() + body


def request_seeds() -> list[bytes]:
    """What `request_from` makes a request of: every path asked for, and every command given."""
    bodies = (b"", b"{}", json.dumps({"spec": _spec(), "supervisor": "root"}).encode(), b'{"graceful": false}', b'{"text": "x"}')
    return [
        bytes([method, path, 0, 0, 0, 0]) + body
        for path in range(len(_PATHS))
        for method, body in [(0, b""), *((1, body) for body in bodies)]
    ]


def _spec() -> dict[str, Any]:
    return encode_child(agent_child_from_config("x", "process_wrapper", {"command": "true", "env": {"A": "b"}}, "/"))


def seeds() -> list[bytes]:
    """Requests as our own clients send them."""
    bodies = [
        ("POST", "/agents", {"spec": _spec(), "supervisor": "root"}),
        ("POST", "/agents/a/stop", {"graceful": False}),
        ("POST", "/agents/a/tell", {"text": "é\n"}),
        ("POST", "/shutdown", {}),
        *(
            ("GET", path, None)
            for path in ("/status", "/events?after=1", "/agents/a/logs?lines=1&follow=true", "/agents/a/forecast?class=crash")
        ),
    ]
    return [_request(*each) for each in bodies]


def _request(method: str, path: str, body: Any) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: suptree\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    data = json.dumps(body).encode()
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
