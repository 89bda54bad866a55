"""The running servers of the control API: one for the Unix socket, and one for TCP if that was asked for."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from suptree.actors.kernel.private_files import remove_private

from ..door.bounds import Bounds
from ..door.header_checks import UNIX_HOSTS, Door
from ..door.http_protocol import HEAD_LIMIT, BoundedProtocol, Crowd
from ..door.listeners import ACCEPTED_PER_LOOK, Address, Listener, listen_on_address, listen_on_path, parse_address
from ..door.tokens import TokenFile
from ..refusals import Why
from .api import make_app
from .running_tree import RunningTree

_KEEP_ALIVE = 5


class _Server(uvicorn.Server):
    async def listen_instead(self, listener: Listener) -> None:
        """Accept connections there from now on; those that are open stay open."""
        config = self.config

        def protocol() -> asyncio.Protocol:
            made = cast(Any, config.http_protocol_class)(config=config, server_state=self.server_state, app_state=self.lifespan.state)
            return cast(asyncio.Protocol, made)

        new = await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=config.backlog)
        for old in self.servers:
            old.close()
        self.servers = [new]

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals are the launcher's own."""
        yield


class ApiServer:
    """Everything that serves the API."""

    def __init__(self, on_stranger: Callable[[], None]) -> None:
        self._on_stranger = on_stranger
        self._on_path: _Server | None = None
        self._paths: set[Path] = set()
        self._running: list[tuple[_Server, asyncio.Task[None]]] = []

    def serve_on_path(self, app: ASGIApp, path: Path, crowd: Crowd) -> None:
        """Begin to serve on a Unix socket."""
        self._on_path = self.serve(app, self._listener(path), crowd)

    async def listen_on_path(self, path: Path) -> None:
        """Have that Unix socket, instead of the one before, which may have been removed; open connections stay open. Raises OSError."""
        if self._on_path is not None:
            await self._on_path.listen_instead(self._listener(path))

    def _listener(self, path: Path) -> Listener:
        listener = listen_on_path(path)
        listener.on_stranger = self._on_stranger
        self._paths.add(path)
        return listener

    def serve(self, app: ASGIApp, listener: Listener, crowd: Crowd) -> _Server:
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
            backlog=ACCEPTED_PER_LOOK,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=HEAD_LIMIT,
        )
        server = _Server(config)
        self._running.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        return server

    async def stop(self) -> None:
        """Close every connection and remove the socket."""
        # A client that follows is cut off on purpose, which the server would report as an error.
        logging.getLogger("uvicorn.error").disabled = True
        for server, _ in self._running:
            server.should_exit = True
            server.force_exit = True
        await asyncio.gather(*(serving for _, serving in self._running))
        for path in self._paths:
            with contextlib.suppress(OSError):
                remove_private(path)


async def serve_api(tree: RunningTree) -> ApiServer:
    """Begin to serve on the control socket, and on TCP where the tree is to listen there."""
    api = make_app(tree)
    count = tree.refusals.counter("control")
    server = ApiServer(lambda: count(Why.STRANGER))
    server.serve_on_path(Door(Bounds(api, count), count, UNIX_HOSTS), tree.paths.control_socket, Crowd(count))
    if tree.listen is not None:
        _serve_on_tcp(server, api, tree, parse_address(tree.listen))
    return server


def _serve_on_tcp(server: ApiServer, api: ASGIApp, tree: RunningTree, address: Address) -> None:
    count = tree.refusals.counter("tcp")
    token = TokenFile(tree.paths.token_file)
    token.ensure()
    server.serve(Door(Bounds(api, count), count, address.hosts, token), listen_on_address(address), Crowd(count))
