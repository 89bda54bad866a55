"""The control API: HTTP and JSON on a Unix socket of the tree's owner, live events as server-sent events."""

import asyncio
import contextlib
import copy
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from pydantic import ValidationError
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from suptree.actors.errors import NoSuchAgent, RequestTimeout, SuptreeError
from suptree.actors.exits import ExitClass
from suptree.actors.output_log import log_path
from suptree.actors.picture import Row
from suptree.supervisors.tree_spec import ROOT
from suptree.supervisors.wire import decode_child

from . import conversation
from .explanation import deaths_of, explanation
from .log_files import follow_log, tail, tail_of
from .status import agent_status, tree_status

if TYPE_CHECKING:
    from .launcher import Launcher

_OPERATIONS = ("start", "stop", "restart", "delete", "terminate_child", "restart_child", "which_children", "count_children")
_ASK_LIMIT = 120.0
_PINGS_LIMIT = 0.5
_EXPLAIN_LIMIT = 10.0


class Api:
    """The handlers; each reads the launcher's mirror of the picture, or sends a command down the link."""

    def __init__(self, launcher: "Launcher") -> None:
        self._launcher = launcher
        self._link = launcher.link

    def routes(self) -> list[Route]:
        """Every path of the API."""
        return [
            Route("/status", self.status),
            Route("/events", self.events),
            Route("/picture", self.picture),
            Route("/agents", self.start_new, methods=["POST"]),
            Route("/agents/{id}", self.agent),
            Route("/agents/{id}/logs", self.logs),
            Route("/agents/{id}/forecast", self.forecast),
            Route("/agents/{id}/explanation", self.explanation),
            Route("/agents/{id}/tell", self.tell, methods=["POST"]),
            Route("/agents/{id}/ask", self.ask, methods=["POST"]),
            Route("/agents/{id}/{operation}", self.operate, methods=["POST"]),
            Route("/shutdown", self.shut_down, methods=["POST"]),
        ]

    async def status(self, _request: Request) -> Response:
        """The status object of the whole tree."""
        ages: dict[str, float] = {}
        with contextlib.suppress(RequestTimeout):
            answer = await self._link.ask("ping_ages", "heartbeat", limit=_PINGS_LIMIT)
            ages = answer["value"] if answer["answer"] == "ok" else {}
        launcher = self._launcher
        picture = copy.deepcopy(self._link.picture)
        uptime = time.monotonic() - launcher.started_at
        ready = self._link.ready.is_set()
        made = await asyncio.to_thread(
            tree_status, launcher.orders.name, uptime, ready=ready, pids=launcher.pids, picture=picture, ping_ages=ages
        )
        return JSONResponse(made)

    async def picture(self, _request: Request) -> Response:
        """All rows as they are, and the number of the last event in them: what a mirror begins with."""
        return JSONResponse({"seq": self._link.seq, "ready": self._link.ready.is_set(), "rows": list(self._link.picture.rows.values())})

    async def events(self, request: Request) -> Response:
        """Every event after number `after`, as they come; with `follow=false` only those that are known."""
        after = int(request.query_params.get("after", "0"))
        if request.query_params.get("follow", "true") == "false":
            return JSONResponse([event for event in self._link.events if event["seq"] > after])

        async def stream() -> AsyncIterator[dict[str, str]]:
            async for event in self._link.follow(after):
                yield {"data": json.dumps(event)}

        return EventSourceResponse(stream(), ping=60)

    async def agent(self, request: Request) -> Response:
        """One agent's part of the status object."""
        return JSONResponse(await asyncio.to_thread(agent_status, dict(self._row(request))))

    async def start_new(self, request: Request) -> Response:
        """Start an agent that was not in the tree; the body is its child spec, and the id of its supervisor."""
        body = await request.json()
        try:
            decode_child(body["spec"])
        except (KeyError, TypeError, ValidationError) as error:
            raise HTTPException(400, f"not a child spec: {_without_values(error)}") from None
        return await self._ask("start_child", body.get("supervisor", ROOT), {"spec": body["spec"]})

    async def operate(self, request: Request) -> Response:
        """Start, stop, restart or delete an agent or supervisor; the answer comes when it is done."""
        operation = request.path_params["operation"]
        if operation not in _OPERATIONS:
            raise HTTPException(404, f"no such operation: {operation} (there are {', '.join(_OPERATIONS)})")
        row = self._row(request)
        arguments = json.loads(await request.body() or b"{}")
        return await self._ask(operation, row["id"], arguments)

    async def tell(self, request: Request) -> Response:
        """Tell an agent something: a line for the stdin of its program, or a message for its `handle`."""
        return await conversation.tell(self._link, self._row(request)["id"], request)

    async def ask(self, request: Request) -> Response:
        """Ask a native agent something."""
        return await conversation.ask(self._link, self._row(request)["id"], request)

    async def forecast(self, request: Request) -> Response:
        """What each supervisor would do if this child ended with `class` and `reason`: innermost first, as far up as the end goes."""
        row: Row | None = self._row(request)
        exit_class = request.query_params.get("class", ExitClass.CRASH.value)
        if exit_class not in set(ExitClass):
            raise HTTPException(400, f"no such exit class: {exit_class} (there are {', '.join(ExitClass)})")
        how = {"class": exit_class, "reason": request.query_params.get("reason", exit_class)}
        steps = []
        while row is not None:
            answer = await self._link.ask("explain", row["id"], how, limit=_EXPLAIN_LIMIT)
            if answer["answer"] != "ok":
                raise SuptreeError(str(answer["value"] or f"{row['id']!r} cannot be asked about: {answer['answer']}"))
            step = answer["value"]
            steps.append({"supervisor": row["supervisor"], "child": row["id"], "incarnation": row["incarnation"], **step})
            how = step["exit"]
            row = None if how is None else self._link.picture.rows.get(row["supervisor"])
        return JSONResponse(steps)

    async def explanation(self, request: Request) -> Response:
        """Why it died, each time that is kept, and how it stands now."""
        row = self._row(request)
        paths, rows = self._launcher.paths, self._link.picture.rows
        deaths = await asyncio.to_thread(deaths_of, paths.state, row["id"])
        return JSONResponse(explanation(paths.name, row, rows.get(row["supervisor"]), deaths, datetime.now(UTC)))

    async def logs(self, request: Request) -> Response:
        """The last `lines` lines of an agent's output; with `follow` also what comes, with `previous` of the incarnation before."""
        row = self._row(request)
        path = log_path(str(self._launcher.paths.state), row["id"])
        lines = int(request.query_params.get("lines", "100"))
        if request.query_params.get("previous", "false") == "true":
            if row["incarnation"] < 2:
                raise SuptreeError(f"{row['id']!r} has had no incarnation before this one")
            return JSONResponse(await asyncio.to_thread(tail_of, path, lines, row["incarnation"] - 1))
        if request.query_params.get("follow", "false") != "true":
            return JSONResponse(await asyncio.to_thread(tail, path, lines))

        async def stream() -> AsyncIterator[dict[str, str]]:
            async for text in follow_log(Path(path), lines):
                yield {"data": json.dumps(text)}

        return EventSourceResponse(stream(), ping=60)

    async def shut_down(self, _request: Request) -> Response:
        """Begin to stop everything in order; the launcher exits when it is done."""
        self._launcher.ask_to_stop()
        return JSONResponse({"answer": "ok", "pid": os.getpid()})

    def _row(self, request: Request) -> Row:
        wanted = request.path_params["id"]
        row = self._link.picture.rows.get(wanted)
        if row is None or row["kind"] == "service":
            raise NoSuchAgent(f"no agent {wanted!r} in tree {self._launcher.orders.name!r}")
        return row

    async def _ask(self, operation: str, target: str, arguments: dict[str, Any]) -> Response:
        answer = await self._link.ask(operation, target, arguments, limit=_ASK_LIMIT)
        return JSONResponse({key: answer[key] for key in ("answer", "value", "seq")})


def _without_values(error: KeyError | TypeError | ValidationError) -> str:
    """What is wrong, without the values: they may be secrets."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False))
    return str(error)


def _failure(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def respond(_request: Request, error: Exception) -> Response:
        text = str(error.detail) if isinstance(error, HTTPException) else str(error)
        code = error.status_code if isinstance(error, HTTPException) else status
        return JSONResponse({"error": type(error).__name__, "message": text}, code)

    return respond


class ApiServer:
    """The running server."""

    def __init__(self, server: uvicorn.Server, serving: asyncio.Task[None], path: Path) -> None:
        self._server = server
        self._serving = serving
        self._path = path

    async def stop(self) -> None:
        """Close every connection and remove the socket."""
        # Whoever follows is cut off on purpose, which the server would report as an error.
        logging.getLogger("uvicorn.error").disabled = True
        self._server.should_exit = True
        self._server.force_exit = True
        await self._serving
        self._path.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals are the launcher's own."""
        yield


async def serve_api(launcher: "Launcher") -> ApiServer:
    """Begin to serve on the control socket, mode 0600."""
    path = launcher.paths.control_socket
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    failures = {
        NoSuchAgent: _failure(404),
        RequestTimeout: _failure(504),
        SuptreeError: _failure(409),
        HTTPException: _failure(400),
        ValueError: _failure(400),
    }
    app = Starlette(routes=Api(launcher).routes(), exception_handlers=dict(failures))
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1, ws="none"
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    return ApiServer(server, serving, path)
