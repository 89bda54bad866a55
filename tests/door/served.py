"""A control API on sockets of its own, whose routes are as slow and as large as a test needs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from suptree.control.api.api import application
from suptree.control.api.json_answer import server_sent
from suptree.control.api.server import ApiServer
from suptree.control.door.bounds import Bounds, Followers, may_wait
from suptree.control.door.header_checks import UNIX_HOSTS, Door
from suptree.control.door.http_protocol import Crowd
from suptree.control.door.listeners import listen_on_path
from suptree.control.door.request_input import Bodies
from suptree.control.refusals import Why

GET = b"GET /%s HTTP/1.1\r\nHost: suptree\r\n\r\n"


POST = b"POST /body HTTP/1.1\r\nHost: suptree\r\nContent-Type: application/json\r\n%s\r\n\r\n"


BAD_HEAD = b"HEAD /quick HTTP/1.1\r\nHost: suptree\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"


LIMIT = 0.4


class Served:
    """A server of a few endpoints on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused: list[Why] = []
        self.followers = Followers()
        self._bodies = Bodies()
        self.begun, self.let_go = asyncio.Event(), asyncio.Event()
        self.waiting = 0

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator["Served"]:
        """Serve for as long as the block lasts."""
        routes = [
            Route("/quick", self._quick),
            Route("/slow", self._slow),
            Route("/wait", self._wait),
            Route("/fails", self._fails),
            Route("/large", self._large),
            Route("/medium", self._medium),
            Route("/follow", self._follow),
            Route("/body", self._body, methods=["POST"]),
        ]
        app = application(routes)
        server = ApiServer(lambda: None)
        server.serve(
            Door(Bounds(app, self.refused.append), self.refused.append, UNIX_HOSTS), listen_on_path(self.path), Crowd(self.refused.append)
        )
        async with asyncio.timeout(30):
            yield self
            await server.stop()

    async def _quick(self, _request: Request) -> Response:
        return PlainTextResponse("quick")

    async def _slow(self, _request: Request) -> Response:
        self.begun.set()
        await self.let_go.wait()
        return PlainTextResponse("slow")

    async def _wait(self, request: Request) -> Response:
        may_wait(request, float(request.url.query))
        self.waiting += 1
        return await self._slow(request)

    async def _fails(self, _request: Request) -> Response:
        raise ValueError("hunter2")

    async def _large(self, _request: Request) -> Response:
        return PlainTextResponse("x" * 20_000_000)

    async def _medium(self, _request: Request) -> Response:
        # A little more than the kernel keeps.
        return PlainTextResponse("x" * 240_000)

    async def _follow(self, _request: Request) -> Response:
        async def texts() -> AsyncIterator[bytes]:
            while True:
                yield server_sent("x" * 10_000)
                await asyncio.sleep(0)

        return self.followers.stream(texts())

    async def _body(self, request: Request) -> Response:
        return JSONResponse(await self._bodies.read(request, 1000))


async def ask(served: Served, request: bytes) -> tuple[int, bytes]:
    """The status and the body that a request gets."""
    reader, writer = await asyncio.open_unix_connection(served.path, limit=2**26)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
    body = await reader.readexactly(length)
    writer.close()
    return int(head.split()[1]), body
