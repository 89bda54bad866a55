"""Native agents for the tests of liveness."""

import asyncio
import os
import socket
from typing import Any


class Well:
    def __init__(self, *_arguments: Any) -> None:
        self.checks = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def health_check(self) -> bool:
        self.checks += 1
        return True


class Unwell(Well):
    async def health_check(self) -> bool:
        self.checks += 1
        return self.checks < 3


class Raises(Well):
    async def health_check(self) -> bool:
        raise ConnectionError("no model server")


class Leaves(Well):
    async def health_check(self) -> bool:
        raise SystemExit(0)


class Hangs(Well):
    async def health_check(self) -> bool:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue


class Unasked:
    def __init__(self, *_arguments: Any) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()


class Waits(Unasked):
    async def run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"STATUS=waiting for a person", os.environ["NOTIFY_SOCKET"])
        await asyncio.Event().wait()
