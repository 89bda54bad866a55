"""Who is at the other end of a connection of a client: looked at when it is made, before anything of a request is sent."""

import asyncio
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

import h11

from suptree.actors.errors import AccessRefused
from suptree.actors.kernel.peers import is_owner, peer_of
from suptree.actors.kernel.trusted_folder import user_name

from ..door.proof import PATH, proof

if TYPE_CHECKING:
    from httpcore import AsyncNetworkStream

_LIMIT = 5.0
_MOST_BYTES = 16 * 1024


class OtherEnd:
    """Called by httpcore for each step of a request (its `trace` extension). Raises AccessRefused where the other end is not the tree.

    At a Unix socket that is for the kernel to say. On TCP, without TLS, the other end proves that it knows the token.
    """

    def __init__(self, token: str | None = None, host: str = "") -> None:
        self._token = token
        self._host = host

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Look at a connection that was just made; close it when it leads elsewhere."""
        if event not in ("connection.connect_unix_socket.complete", "connection.connect_tcp.complete"):
            return
        stream: AsyncNetworkStream = info["return_value"]
        try:
            if event == "connection.connect_unix_socket.complete":
                _check_owner(stream)
            elif self._token is not None:
                await self._check_proof(stream, self._token)
        except BaseException:
            await stream.aclose()
            raise

    async def _check_proof(self, stream: "AsyncNetworkStream", token: str) -> None:
        nonce = secrets.token_hex(32)
        host, port = stream.get_extra_info("server_addr")[:2]
        expected = proof(token.encode(), nonce, host, port)
        try:
            async with asyncio.timeout(2 * _LIMIT):
                given = await _ask(stream, f"{PATH}?nonce={nonce}", self._host)
        except (h11.ProtocolError, ValueError, KeyError, TypeError, RecursionError, TimeoutError):
            given = ""
        if not (given.isascii() and hmac.compare_digest(given, expected)):
            raise AccessRefused(
                f"what listens on {self._host} did not prove that it knows the token, so it was not sent: it is not the tree, or the tree"
                " has another token (`suptree token` prints it), or the way there leads through another address or port (then use https)"
            )


def _check_owner(stream: "AsyncNetworkStream") -> None:
    peer = peer_of(stream.get_extra_info("socket"))
    if not is_owner(peer):
        name = user_name(peer.uid)
        raise AccessRefused(f"{name} listens at that control socket, not you: nothing was sent; is XDG_RUNTIME_DIR yours?")


async def _ask(stream: "AsyncNetworkStream", target: str, host: str) -> str:
    """What the other end gives as its proof; the connection can be used further. Raises what a bad answer leads to."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_BYTES)
    request = http.send(h11.Request(method="GET", target=target, headers=[("Host", host)])) or b""
    await stream.write(request + (http.send(h11.EndOfMessage()) or b""), timeout=_LIMIT)
    body = b""
    while True:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(await stream.read(_MOST_BYTES, timeout=_LIMIT))
            case h11.Data(data=data):
                body += data
            case h11.EndOfMessage() | h11.ConnectionClosed():
                return str(json.loads(body)["proof"])
            case h11.Response():
                pass
        if len(body) > _MOST_BYTES:
            raise ValueError
