"""Native agents for the tests of ProcessManager."""

import asyncio
import os
import signal
import sys


class Steady:
    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, object]) -> "Steady":
        return cls()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def health_check(self) -> bool:
        return True

    async def update_heartbeat(self, status: str) -> None:
        pass

    async def shutdown(self) -> None:
        pass


class Flood(Steady):
    """Prints far more than a pipe holds."""

    async def run(self) -> None:
        for _ in range(1000):
            print("x" * 1000)
            print("y" * 1000, file=sys.stderr)
        await asyncio.Event().wait()


class Says(Steady):
    """Says one thing."""

    async def run(self) -> None:
        print("here")
        await asyncio.Event().wait()


class Raises(Steady):
    async def run(self) -> None:
        raise ValueError("no such model")


class Listener(Steady):
    """Takes every message, until one is `fail`."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def handle(self, message: str) -> None:
        self.heard.append(message)
        if message == "fail":
            raise ValueError(f"after {self.heard}")


class Mortal(Steady):
    async def ask(self, prompt: str) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return prompt
