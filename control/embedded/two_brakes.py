"""Reading from a transport on which two parties pause: it is read only while neither does."""

import asyncio
from typing import Any


class TwoBrakes(asyncio.ReadTransport):
    """The transport as its reader sees it, which pauses when enough waits to be read; `hold` is the pause of another party."""

    def __init__(self, transport: asyncio.ReadTransport) -> None:
        super().__init__()
        self._transport = transport
        self._is_full = False
        self._is_held = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._is_full = True
        self._set()

    def resume_reading(self) -> None:
        self._is_full = False
        self._set()

    def hold(self, *, held: bool) -> None:
        """Pause for the other party, or end that pause."""
        self._is_held = held
        self._set()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def _set(self) -> None:
        if self._is_full or self._is_held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
