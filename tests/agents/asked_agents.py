"""Native agents for the tests of asking, checkpoints and statuses."""

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from suptree.actors import errors


class Asked:
    def __init__(self, *_arguments: Any) -> None:
        self.heard: list[str] = []

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def health_check(self) -> bool:
        return True

    async def update_heartbeat(self, status: str) -> None:
        self.heard.append(status)

    async def shutdown(self) -> None:
        pass


class Oracle(Asked):
    """Does what the prompt says."""

    async def ask(self, prompt: str) -> Any:
        word, _, rest = prompt.partition(" ")
        match word:
            case "echo":
                return rest
            case "json":
                return {"answer": [1, None, {"deep": True}]}
            case "nothing":
                return None
            case "long":
                return "x" * int(rest)
            case "object":
                return object()
            case "raise":
                raise ValueError(rest)
            case "wait":
                await self._wait()
            case "block":
                time.sleep(float(rest))  # noqa: ASYNC251
            case "exit":
                raise SystemExit(3)
            case "die":
                os.kill(os.getpid(), 9)
            case "half":
                raise getattr(errors, rest, ValueError)("half \ud800")
            case _:
                raise getattr(errors, word)(rest)
        return "done"

    async def _wait(self) -> None:
        print("is asked to wait")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("cancelled")
            raise


class Teller(Asked):
    """Answers in parts."""

    async def ask(self, prompt: str) -> AsyncIterator[Any]:
        async def parts() -> AsyncIterator[Any]:
            try:
                for number in range(int(prompt)):
                    yield f"{number} "
                    await asyncio.sleep(0.01)
                if prompt == "3":
                    raise ValueError("only three")
                if prompt == "4":
                    yield 4
                if prompt == "5":
                    await asyncio.sleep(1000)
            finally:
                print("closed")

        return parts()


class Deaf(Asked):
    """Keeps every cancellation to itself."""

    async def ask(self, _prompt: str) -> str:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue


class Speaker(Asked):
    """Says what it is asked to say, as its status."""

    async def ask(self, prompt: str) -> list[str]:
        await self.update_heartbeat(prompt)
        return self.heard


class Slotted:
    """Lets nothing be put on it, and has a plain function."""

    __slots__ = ("heard",)

    def __init__(self, *_arguments: Any) -> None:
        self.heard: list[str] = []

    def update_heartbeat(self, status: str) -> None:
        self.heard.append(status)

    async def ask(self, prompt: str) -> list[str]:
        self.update_heartbeat(prompt)
        return self.heard


class Bare:
    """Has no `update_heartbeat` of its own."""

    update_heartbeat: Callable[[str], Any]

    async def ask(self, prompt: str) -> list[str]:
        self.update_heartbeat("not awaited")
        await asyncio.gather(self.update_heartbeat("gathered"), asyncio.create_task(self.update_heartbeat("a task")))
        await self.update_heartbeat(prompt)
        return [prompt]


def _with_a_database(create: Any) -> Any:
    @functools.wraps(create)
    def wrapper(*arguments: Any) -> Any:
        return create("database", *arguments)

    return wrapper


@_with_a_database
def bare(_database: str, *_arguments: str) -> Bare:
    """A factory whose decorator gives it something more."""
    return Bare()


class Forgetful(Asked):
    """Counts, and offers no checkpoints."""

    def __init__(self, *_arguments: Any) -> None:
        super().__init__()
        self.count = 0

    async def ask(self, prompt: str) -> int:
        if prompt == "die":
            os.kill(os.getpid(), 9)
        if prompt == "raise":
            raise errors.Failed("as it was asked to")
        self.count += 1
        return self.count

    async def handle(self, _message: str) -> None:
        self.count += 100


class HalfForgetful(Forgetful):
    """Offers only one of the two."""

    def checkpoint(self) -> int:
        return self.count


class Counter(Forgetful):
    """Counts, and goes on counting in its next life."""

    async def checkpoint(self) -> dict[str, int]:
        return {"count": self.count}

    async def restore(self, state: dict[str, int]) -> None:
        self.count = state["count"]


class Ticker(Counter):
    """Counts by itself."""

    async def run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0.01)


class Picky(Counter):
    """Refuses what it has kept, once it is above 1; by then it has changed itself."""

    async def restore(self, state: dict[str, int]) -> None:
        await super().restore(state)
        if self.count > 1:
            raise ValueError("too much")


class Fatal(Counter):
    """Dies of what it has kept."""

    async def restore(self, _state: dict[str, int]) -> None:
        os.kill(os.getpid(), 9)


class Unjust(Counter):
    """Gives what JSON cannot express, or too much, or nothing in time."""

    async def checkpoint(self) -> Any:
        match self.count:
            case 0:
                return None
            case 1:
                return object()
            case 2:
                return "x" * 2_000_000
            case 3:
                await asyncio.sleep(1000)
            case _:
                raise RuntimeError("no more")
        return None

    async def restore(self, _state: Any) -> None:
        pass
