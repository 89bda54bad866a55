"""Who is let in: what every request must show before anything of it is read further or done."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from suptree.actors.errors import AccessRefused

from ..refusals import Why
from .http_protocol import HEAD_LIMIT
from .proof import NONCE, PATH, proof
from .tokens import TokenFile, same

UNIX_HOSTS = frozenset({"suptree", "localhost"})
_HARMLESS = ("GET", "HEAD", "OPTIONS")
_JSON = ("application/json", "application/json;charset=utf-8")


class Refusal(NamedTuple):
    """Why a request is refused, and how that is said."""

    why: Why
    status: int
    message: str


_HEAD = Refusal(Why.TOO_LARGE, 431, f"the head of the request is longer than {HEAD_LIMIT} bytes")
_LENGTH = Refusal(Why.MALFORMED, 400, "a request says how long it is by Content-Length or by Transfer-Encoding, and not by both")
_HOST = Refusal(Why.HOST, 421, "this address is not called so: the Host header must name the address that the tree listens on")
_ORIGIN = Refusal(Why.ORIGIN, 403, "no page of another origin may use this")
_TOKEN = Refusal(Why.TOKEN, 401, "the token is missing or wrong: `suptree token` prints it, Authorization: Bearer carries it")
_CONTENT_TYPE = Refusal(Why.CONTENT_TYPE, 415, "the body must be JSON, and Content-Type must say application/json")


class Door:
    """Lets requests through to `app` that name the right host, come from no foreign page, carry the token if there is one, and hold JSON.

    `hosts` are the names in the Host header that are let in; when there are none, any IP address is. There are no CORS headers, ever.
    """

    def __init__(self, app: ASGIApp, refused: Callable[[Why], None], hosts: Collection[str], token: TokenFile | None = None) -> None:
        self._app = app
        self._refused = refused
        self._hosts = hosts
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        token = self._token.current() if self._token is not None else None
        refusal = _HEAD if _length_of_head(scope) > HEAD_LIMIT else self._refusal(scope["method"], Headers(scope=scope), token)
        if refusal is _TOKEN and token is not None and (nonce := _nonce(scope)) is not None:
            # Somebody who is about to send the token asks whether we know it.
            answer = {"proof": proof(token, nonce, *scope["server"])}
            await JSONResponse(answer)(scope, receive, send)
            return
        if refusal is None:
            scope["state"]["let_in"]()
            await self._app(scope, receive, self._while_valid(scope, send, token) if self._token is not None else send)
            return
        self._refused(refusal.why)
        headers = {"connection": "close", **({"www-authenticate": "Bearer"} if refusal is _TOKEN else {})}
        error = AccessRefused.__name__ if refusal is _TOKEN else "HTTPException"
        await JSONResponse({"error": error, "message": refusal.message}, refusal.status, headers)(scope, receive, send)

    def _refusal(self, method: str, headers: Headers, token: bytes | None) -> Refusal | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _HOST
        if "content-length" in headers and "transfer-encoding" in headers:
            # What stands before us may go by the other (RFC 9112, section 6.1: request smuggling).
            return _LENGTH
        if any(origin != f"http://{host}" for origin in headers.getlist("origin")):
            return _ORIGIN
        if self._token is not None and not same(_bearer(headers), token):
            return _TOKEN
        if method not in _HARMLESS and not _is_json(headers):
            return _CONTENT_TYPE
        return None

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host)
        if self._hosts:
            return name in self._hosts
        # A page that rebinds a name of its own to us still sends that name.
        return bool(name) and (":" in name or name.replace(".", "").isdecimal())

    def _while_valid(self, scope: Scope, send: Send, token: bytes | None) -> Send:
        """What sends to a client only for as long as its token is the tree's: one that follows is cut off when that is rotated."""

        async def guarded(message: Message) -> None:
            if message.get("more_body") and self._token is not None and self._token.current() != token:
                self._refused(Why.TOKEN)
                scope["state"]["cut_off"]()
                return
            await send(message)

        return guarded


def _nonce(scope: Scope) -> str | None:
    """What a request for a proof holds; None when it is another request."""
    name, _, nonce = scope["query_string"].decode("latin-1").partition("=")
    wanted = (scope["method"], scope["path"], name) == ("GET", PATH, "nonce")
    return nonce if wanted and NONCE.fullmatch(nonce) else None


def _length_of_head(scope: Scope) -> int:
    """In bytes. What comes in one read is parsed however long it is: the bound of the parser is for what is incomplete."""
    lines = sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
    return lines + len(scope["raw_path"]) + len(scope["query_string"])


def _without_port(host: str) -> str:
    """The name in a Host header, in lower case; empty when it makes no sense."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host.lower(), "0"
    if not (port.isascii() and port.isdecimal()):
        return ""
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1]
    return "" if ":" in name else name


def _bearer(headers: Headers) -> bytes:
    """The token of the one Authorization header; empty, which no token is, when there is not exactly one that carries one."""
    given = headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _is_json(headers: Headers) -> bool:
    types = headers.getlist("content-type")
    if not types:
        return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    return len(types) == 1 and types[0].lower().replace(" ", "").replace('"', "") in _JSON
