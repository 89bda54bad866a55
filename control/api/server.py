"""The running servers of the control API: one for the Unix socket, and one for TCP if that was asked for."""

import asyncio
import contextlib
import logging
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from ..door.bounds import Bounds
from ..door.header_checks import UNIX_HOSTS, Door
from ..door.http_protocol import HEAD_LIMIT, BoundedProtocol, Crowd
from ..door.listeners import ACCEPTED_AT_ONCE, Address, Listener, listen_on_address, listen_on_path, parse_address
from ..door.tokens import TokenFile
from ..refusals import Why
from .api import make_app
from .running_tree import RunningTree

_KEEP_ALIVE = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals are the launcher's own."""
        yield


class ApiServer:
    """Everything that serves the API."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._running: list[tuple[_Server, asyncio.Task[None]]] = []

    def serve(self, app: ASGIApp, listener: Listener, crowd: Crowd) -> None:
        """Begin to serve on a socket that listens; the server closes it."""
        config = uvicorn.Config(
            app,
            http=cast(Any, partial(BoundedProtocol, crowd)),
            ws="none",
            lifespan="off",
            log_config=None,
            # What is refused is counted; a line for each would fill the disk.
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=HEAD_LIMIT,
        )
        server = _Server(config)
        self._running.append((server, asyncio.create_task(server.serve(sockets=[listener]))))

    async def stop(self) -> None:
        """Close every connection and remove the socket."""
        # A client that follows is cut off on purpose, which the server would report as an error.
        logging.getLogger("uvicorn.error").disabled = True
        for server, _ in self._running:
            server.should_exit = True
            server.force_exit = True
        await asyncio.gather(*(serving for _, serving in self._running))
        self._path.unlink(missing_ok=True)


async def serve_api(tree: RunningTree) -> ApiServer:
    """Begin to serve on the control socket, and on TCP where the tree is to listen there."""
    api = make_app(tree)
    server = ApiServer(tree.paths.control_socket)
    _serve_on_path(server, api, tree)
    if tree.listen is not None:
        _serve_on_tcp(server, api, tree, parse_address(tree.listen))
    return server


def _serve_on_path(server: ApiServer, api: ASGIApp, tree: RunningTree) -> None:
    count = tree.refusals.counter("control")
    listener = listen_on_path(tree.paths.control_socket)
    listener.on_stranger = lambda: count(Why.STRANGER)
    server.serve(Door(Bounds(api, count), count, UNIX_HOSTS), listener, Crowd(count))


def _serve_on_tcp(server: ApiServer, api: ASGIApp, tree: RunningTree, address: Address) -> None:
    count = tree.refusals.counter("tcp")
    token = TokenFile(tree.paths.token_file)
    token.ensure()
    server.serve(Door(Bounds(api, count), count, address.hosts, token), listen_on_address(address), Crowd(count))
