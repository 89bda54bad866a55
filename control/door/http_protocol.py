"""HTTP on one connection, within bounds: a client that is slow, idle or speaks no HTTP is cut off before other clients have to wait.

uvicorn bounds neither the time that a request may take to arrive nor the number of connections that say nothing.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..refusals import Why

MOST_CONNECTIONS = 228
REQUEST_LIMIT = 10.0
"""Seconds from the first byte of a request, or from the connection, to its last byte."""
UNREAD_LIMIT = 60.0
"""Seconds for which nobody may read an answer that waits."""
HEAD_LIMIT = 32 * 1024
_ANSWERABLE = (h11.IDLE, h11.SEND_RESPONSE)


class Crowd:
    """The connections of one door. When there are too many, the one gives way that has waited longest without being let in.

    One that was let in waits anew when its answer is finished. A stranger may ask for something without a token (a proof), as often as it
    likes, and leave the answers unread: such a connection stays in its place.
    """

    def __init__(self, refused: Callable[[Why], None]) -> None:
        self.refused = refused
        self._waiting: dict[BoundedProtocol, None] = {}
        self._served: set[BoundedProtocol] = set()

    def wait(self, connection: "BoundedProtocol") -> None:
        """It has yet to be let in; those whose requests were let in, and are being answered, are never cut off for it."""
        self._served.discard(connection)
        self._waiting.pop(connection, None)
        self._waiting[connection] = None
        if len(self._waiting) + len(self._served) > MOST_CONNECTIONS:
            next(iter(self._waiting)).cut_off(Why.CROWDED)

    def serve(self, connection: "BoundedProtocol") -> None:
        """Its request was let in, and is being answered."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._served.add(connection)

    def answered(self, connection: "BoundedProtocol") -> None:
        """An answer is finished."""
        if connection in self._served:
            self.wait(connection)

    def leave(self, connection: "BoundedProtocol") -> None:
        """It has ended."""
        self._waiting.pop(connection, None)
        self._served.discard(connection)


class _Alarm:
    """Acts once, so many seconds after it was set, unless it is taken back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, act: Callable[[], None]) -> None:
        self._loop, self._seconds, self._act = loop, seconds, act
        self._timer: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """Set it, unless it is set."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._act)

    def take_back(self) -> None:
        """Let it be as if it had never been set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with deadlines."""

    def __init__(self, crowd: Crowd, app_state: dict[str, Any], **rest: Any) -> None:
        super().__init__(app_state={**app_state, "cut_off": self.cut_off, "let_in": self._let_in}, **rest)
        self._crowd = crowd
        self._is_cut_off = False
        self._is_let_in = False
        self._request_due = _Alarm(self.loop, REQUEST_LIMIT, lambda: self.cut_off(Why.TOO_SLOW))
        self._unread = _Alarm(self.loop, UNREAD_LIMIT, lambda: self.cut_off(Why.TOO_SLOW))

    def cut_off(self, why: Why | None = None) -> None:
        """End the connection now, whatever is still to be sent on it."""
        if why is not None and not self._is_cut_off:
            self._crowd.refused(why)
        self._is_cut_off = True
        self.transport.abort()
        # It is gone when the event loop comes round to it; what counts connections must not count it any more.
        self._leave()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Whatever waits to be read is known to wait, also when the connection is to be closed after it.
        transport.set_write_buffer_limits(high=0)
        self._request_due.set()
        self._crowd.wait(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)
        # uvicorn leaves it armed when a connection breaks.
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if not self._is_answering:
            self._request_due.set()
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        # What comes next on the connection may be there already.
        self._is_let_in = False
        super().on_response_complete()
        if not self.transport.is_closing():
            self._crowd.answered(self)
            if self.conn.trailing_data[0]:
                self._request_due.set()
            self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.set()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.take_back()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, if it can still be answered."""
        self._crowd.refused(Why.MALFORMED)
        if self.cycle is not None and not self.cycle.response_complete:
            # Its request has gone wrong while it was being answered.
            answerable = not self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        else:
            answerable = True
        if not answerable or self.conn.our_state not in _ANSWERABLE:
            self.cut_off()
            return
        body = json.dumps({"error": "HTTPException", "message": msg}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        # The answer to HEAD has no body, an error neither.
        is_head = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
        data = h11.Data(data=b"" if is_head else body)
        for event in (h11.Response(status_code=400, headers=headers), data, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _is_answering(self) -> bool:
        """Whether a whole request is here, and its answer is not finished."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _look(self) -> None:
        if self._is_answering:
            self._request_due.take_back()
            if self._is_let_in:
                self._crowd.serve(self)
        elif self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE and not self.conn.trailing_data[0]:
            # Between two requests, for as long as uvicorn keeps a connection alive.
            self._request_due.take_back()

    def _let_in(self) -> None:
        self._is_let_in = True
        self._look()

    def _leave(self) -> None:
        self._request_due.take_back()
        self._unread.take_back()
        self._crowd.leave(self)
