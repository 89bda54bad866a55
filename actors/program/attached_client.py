"""The client that is attached to a program's stdin and stdout, as the program's actor hears it."""

import asyncio
from collections.abc import Callable
from typing import cast

from .attachment_frames import Frames, Word, frame


class AttachedClient(asyncio.Protocol):
    """One connection: calls `hear` with each frame that comes, and `gone` when the client has closed the connection."""

    def __init__(self, hear: Callable[[int, bytes], None], gone: Callable[[], None]) -> None:
        self._hear = hear
        self._gone = gone
        self._frames = Frames()
        self.is_gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for word, said in self._frames.of(data):
                self._hear(word, said)
        except ValueError:
            # It speaks something else: what it says next means nothing.
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_gone = True
        self._gone()

    def say(self, word: Word) -> None:
        """Send the client a frame."""
        if not self._transport.is_closing():
            self._transport.write(frame(word))

    def close(self) -> None:
        """Close the connection, after what is still on its way to the client."""
        self._transport.close()
