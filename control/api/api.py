"""The control API: HTTP and JSON, live events as server-sent events."""

import asyncio
import copy
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from suptree.actors.deaths.explanation import deaths_of, explanation
from suptree.actors.errors import NoSuchAgent, RequestTimeout, SuptreeError
from suptree.actors.events.picture import Row, is_alive
from suptree.actors.exits import ExitClass
from suptree.actors.output.log_reader import MOST_LINES, follow_log, tail, tail_of
from suptree.actors.output.output_log import log_path
from suptree.actors.record.registry import HERE, TOP_SUPERVISOR
from suptree.supervisors.config.wire import decode_child
from suptree.supervisors.spec.child_spec import ChildSpec
from suptree.supervisors.spec.ids import RESERVED_IDS, ROOT, fault_of_id
from suptree.supervisors.spec.longest_stop import longest_stop
from suptree.supervisors.spec.tree_spec import SupervisorSpec

from ..door.bounds import Followers
from ..door.request_input import BODY_LIMIT, Bodies, boolean, expect, only, text, whole_number
from ..stop_requests import Asks
from ..time_limits import LONGEST, no_answer
from .conversation import Conversation
from .json_answer import JsonAnswer, json_lines, server_sent
from .running_tree import RunningTree
from .status import agent_status, tree_status
from .tree_ids import Ids, TreeIds, ids_of

_OPERATIONS: dict[str, dict[str, type]] = {
    "start": {"fresh": bool},
    "stop": {"graceful": bool},
    "restart": {"fresh": bool},
    "delete": {"keep_checkpoint": bool},
    "terminate_child": {"graceful": bool},
    "delete_child": {},
    "restart_child": {},
    "which_children": {},
    "count_children": {},
}
"""Each with the arguments that it may be given."""
_DELETES = ("delete", "delete_child")
_KEEPS_ID = ("start", "restart", "restart_child", *_DELETES)
_NOT_FOR_ROOT = ("stop", "terminate_child", *_DELETES)
_ASK_LIMIT = 120.0
_PINGS_LIMIT = 0.5
_FORECAST_LIMIT = 10.0
_MOST_EVENTS = 2**53
_REASON_LENGTH = 1000


class Api:
    """The handlers; each reads the mirror of the picture, or sends a command down the link."""

    def __init__(self, tree: RunningTree) -> None:
        self._tree = tree
        self._link = tree.link
        self._bodies = Bodies()
        self._followers = Followers()
        self._conversation = Conversation(self._link, self._bodies)
        self._ids = TreeIds(tree.root, lambda: self._link.picture.rows)
        self._under_way: set[asyncio.Task[dict[str, Any]]] = set()

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
            Route("/agents/{id}/attach", self.attach, methods=["POST"]),
            Route("/agents/{id}/{operation}", self.operate, methods=["POST"]),
            Route("/shutdown", self.shut_down, methods=["POST"]),
        ]

    async def status(self, request: Request) -> Response:
        """The status object of the whole tree."""
        only(request)
        # What cannot be asked now is not known now; everything else is the picture of before, and says how old it may be.
        here, ages = await asyncio.gather(self._asked_now(HERE, "registry"), self._asked_now("ping_ages", "heartbeat"))
        age = self._link.age if here is None else 0.0
        tree = self._tree
        picture = copy.deepcopy(self._link.picture)
        uptime = time.monotonic() - tree.started_at
        ready = self._link.ready.is_set()
        made = await asyncio.to_thread(
            tree_status,
            tree.paths.name,
            uptime,
            ready=ready,
            pids=tree.pids,
            picture=picture,
            picture_age=age,
            file_differs=tree.file_differs,
            longest_stop=None if tree.root is None else longest_stop(tree.root),
            ping_ages=ages or {},
            listen=tree.listen,
            refused=tree.refusals.counts,
            journal=self._link.journal,
        )
        return JsonAnswer(made)

    async def _asked_now(self, operation: str, service: str) -> Any:
        """What a service answers within a moment, or None."""
        try:
            return (await self._link.ask(operation, service, limit=_PINGS_LIMIT))["value"] or {}
        except RequestTimeout:
            return None

    async def picture(self, request: Request) -> Response:
        """All rows as they are, and the number of the last event in them: what a mirror begins with."""
        only(request)
        return JsonAnswer({"seq": self._link.seq, "ready": self._link.ready.is_set(), "rows": list(self._link.picture.rows.values())})

    async def events(self, request: Request) -> Response:
        """Every event after number `after`, as they come; with `follow=false` only those that are known. First how many are not kept."""
        only(request, "after", "follow")
        after = whole_number(request, "after", 0, _MOST_EVENTS)
        if not boolean(request, "follow", True):
            return JsonAnswer(self._link.known(after))

        async def stream() -> AsyncIterator[bytes]:
            async for event in self._link.follow(after):
                yield server_sent(event)

        return self._followers.stream(stream())

    async def agent(self, request: Request) -> Response:
        """One agent's part of the status object."""
        only(request)
        return JsonAnswer(await asyncio.to_thread(agent_status, dict(self._row(request))))

    async def start_new(self, request: Request) -> Response:
        """Start an agent that was not in the tree; the body is its child spec, and the id of its supervisor."""
        only(request)
        body = expect(await self._bodies.read(request, BODY_LIMIT), 'a child spec comes as {"spec": {…}}', spec=dict, supervisor=str)
        encoded, supervisor = body.get("spec", {}), body.get("supervisor", ROOT)
        if supervisor == TOP_SUPERVISOR:
            raise SuptreeError(f"below {TOP_SUPERVISOR!r} are the services of the tree and nothing else: add the child below {ROOT!r}")
        try:
            spec = decode_child(encoded)
            _check_ids(spec)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise HTTPException(400, f"not a child spec: {_without_values(error)}") from None
        added = partial(self._ids.has_added, supervisor, spec)
        return await self._change(ids_of(supervisor, spec), added, "start_child", supervisor, {"spec": encoded})

    async def operate(self, request: Request) -> Response:
        """Start, stop, restart or delete an agent or supervisor; the answer comes when it is done."""
        operation = request.path_params["operation"]
        if operation not in _OPERATIONS:
            raise HTTPException(404, f"no such operation: {operation} (there are {', '.join(_OPERATIONS)})")
        only(request)
        row = self._row(request)
        arguments = expect(await self._bodies.read(request), f"the arguments of {operation}", **_OPERATIONS[operation])
        if operation == "delete" and not is_alive(row):
            # A supervisor that is new does not know what its children were called before it.
            arguments["row"] = {"kind": row["kind"], "id": row["id"], "incarnation": row["incarnation"], "deleted": False}
        if row["id"] == ROOT and operation in _NOT_FOR_ROOT:
            raise SuptreeError(f"{ROOT!r} is the whole tree: `suptree down` stops it")
        if operation not in _KEEPS_ID:
            return await self._ask(operation, row["id"], arguments)
        done = partial(self._ids.has_deleted, row["id"]) if operation in _DELETES else None
        return await self._change([(row["supervisor"], row["id"])], done, operation, row["id"], arguments)

    async def tell(self, request: Request) -> Response:
        """Tell an agent something: a line for the stdin of its program, or a message for its `handle`; answered when it has been taken."""
        only(request)
        return await self._conversation.tell(self._row(request)["id"], request)

    async def ask(self, request: Request) -> Response:
        """Ask a native agent something; answered with its reply, or with why there is none."""
        only(request)
        return await self._conversation.ask(self._row(request)["id"], request)

    async def attach(self, request: Request) -> Response:
        """Give the path of a Unix socket that leads to the stdin and stdout of an agent's program, for one connection."""
        only(request)
        return await self._conversation.attach(self._row(request)["id"], request)

    async def forecast(self, request: Request) -> Response:
        """What each supervisor would do if this child ended with `class` and `reason`: innermost first, as far up as the end goes."""
        only(request, "class", "reason")
        row: Row | None = self._row(request)
        exit_class = text(request, "class", ExitClass.CRASH.value, 64)
        if exit_class not in set(ExitClass):
            raise HTTPException(400, f"no such exit class: {exit_class} (there are {', '.join(ExitClass)})")
        how = {"class": exit_class, "reason": text(request, "reason", exit_class, _REASON_LENGTH)}
        steps: list[dict[str, Any]] = []
        while row is not None and row["id"] not in {step["child"] for step in steps}:
            answer = await self._link.ask("forecast", row["id"], how, limit=_FORECAST_LIMIT)
            if answer["answer"] != "ok":
                raise SuptreeError(str(answer["value"] or f"{row['id']!r} cannot be asked about: {answer['answer']}"))
            step = answer["value"]
            steps.append({"supervisor": row["supervisor"], "child": row["id"], "incarnation": row["incarnation"], **step})
            how = step["exit"]
            row = None if how is None else self._link.picture.rows.get(row["supervisor"])
        return JsonAnswer(steps)

    async def explanation(self, request: Request) -> Response:
        """Why it died, each time that is kept, and how it stands now."""
        only(request)
        row = self._row(request)
        paths, rows = self._tree.paths, self._link.picture.rows
        deaths = await asyncio.to_thread(deaths_of, paths.state, row["id"])
        return JsonAnswer(explanation(paths.name, row, rows.get(row["supervisor"]), deaths, datetime.now(UTC)))

    async def logs(self, request: Request) -> Response:
        """The last `lines` lines of an agent's output; with `follow` also what comes, with `previous` of the incarnation before."""
        only(request, "lines", "follow", "previous")
        lines, follows = whole_number(request, "lines", 100, MOST_LINES), boolean(request, "follow", False)
        previous = boolean(request, "previous", False)
        row = self._row(request)
        path = log_path(str(self._tree.paths.state), row["id"])
        if previous:
            if row["incarnation"] < 2:
                raise SuptreeError(f"{row['id']!r} has had no incarnation before this one")
            return json_lines(await asyncio.to_thread(tail_of, path, lines, row["incarnation"] - 1))
        if not follows:
            return json_lines(await asyncio.to_thread(tail, path, lines))
        # What cannot be read is refused before the stream begins.
        await asyncio.to_thread(tail, path, 0)

        async def stream() -> AsyncIterator[bytes]:
            async for entry in follow_log(Path(path), lines):
                yield server_sent(entry)

        return self._followers.stream(stream())

    async def shut_down(self, request: Request) -> Response:
        """Begin to stop everything in order; the launcher exits when it is done."""
        only(request)
        expect(await self._bodies.read(request), "the arguments of shutdown")
        self._tree.ask_to_stop(Asks.CLIENT)
        return JsonAnswer({"answer": "ok", "pid": os.getpid()})

    def _row(self, request: Request) -> Row:
        wanted = request.path_params["id"]
        row = self._link.picture.rows.get(wanted)
        if row is None or row["deleted"] or row["kind"] == "service":
            raise NoSuchAgent(f"no agent {wanted!r} in tree {self._tree.paths.name!r}")
        return row

    async def _ask(self, operation: str, target: str, arguments: dict[str, Any]) -> Response:
        answer = await self._link.ask(operation, target, arguments, limit=_ASK_LIMIT)
        return _answered(answer)

    async def _change(self, ids: Ids, done: Callable[[], None] | None, operation: str, target: str, arguments: dict[str, Any]) -> Response:
        """Ask for what may change which children there are; `done` is called when it has. The ids are kept until it is answered.

        That may be long after the client has heard that no answer came in time.
        """
        self._ids.keep(ids)
        asking = asyncio.get_running_loop().create_task(self._ask_with(ids, done, operation, target, arguments))
        self._under_way.add(asking)
        asking.add_done_callback(self._under_way.discard)
        if not (await asyncio.wait({asking}, timeout=_ASK_LIMIT))[0]:
            raise no_answer(operation, target, _ASK_LIMIT)
        return _answered(asking.result())

    async def _ask_with(
        self, ids: Ids, done: Callable[[], None] | None, operation: str, target: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            answer = await self._link.ask(operation, target, arguments, limit=LONGEST)
            if done is not None and answer["answer"] == "ok":
                done()
            return answer
        finally:
            self._ids.let_go(ids)


def _answered(answer: dict[str, Any]) -> Response:
    return JsonAnswer({key: answer[key] for key in ("answer", "value", "seq")})


def _check_ids(spec: ChildSpec) -> None:
    """Raise ValueError for an id that no tree file could give: ids become names of files, and stand once."""
    children = [spec, *(child for _, child in (spec.start.walk() if isinstance(spec.start, SupervisorSpec) else ()))]
    seen: set[str] = set()
    for child in children:
        own = child.start.id if isinstance(child.start, SupervisorSpec) else child.start.agent_id
        if fault := fault_of_id(child.id) or ("that id is reserved" if child.id in RESERVED_IDS else None):
            raise ValueError(fault)
        if own != child.id:
            raise ValueError("the id of a child is that of its agent or supervisor")
        if child.id in seen:
            raise ValueError(f"{child.id}: duplicate child id")
        seen.add(child.id)


def _without_values(error: Exception) -> str:
    """What is wrong, without the values: they may be secrets."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False))
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _failure(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def respond(_request: Request, error: Exception) -> Response:
        said = str(error.detail) if isinstance(error, HTTPException) else str(error)
        code, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (status, None)
        return JsonAnswer({"error": type(error).__name__, "message": said}, code, headers)

    return respond


_FAILURES = {NoSuchAgent: _failure(404), RequestTimeout: _failure(504), SuptreeError: _failure(409), HTTPException: _failure(400)}


class _App(Starlette):
    def build_middleware_stack(self) -> ASGIApp:
        """Starlette's own also answers what nobody expected, in plain text, and raises it again."""
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


def make_app(tree: RunningTree) -> ASGIApp:
    """The API as an ASGI application, which lets everybody in."""
    return application(Api(tree).routes())


def application(routes: list[Route]) -> ASGIApp:
    """An ASGI application that answers in JSON, whatever goes wrong in words of ours; what nobody expected it raises."""
    app = _App(routes=routes, exception_handlers=dict(_FAILURES))
    # It would send those who ask for /status/ to wherever their Host header says.
    app.router.redirect_slashes = False
    return app
