"""A native agent that takes all memory that there is."""

from typing import Any


class Eats:
    """It takes a megabyte at a time."""

    def __init__(self, *_: Any) -> None:
        self.eaten: list[bytearray] = []

    async def health_check(self) -> bool:
        return True

    async def update_heartbeat(self, _status: str) -> None:
        return

    async def shutdown(self) -> None:
        return

    async def run(self) -> None:
        while True:
            self.eaten.append(bytearray(b"x") * 1_000_000)
