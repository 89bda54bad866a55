"""Native agents that end in every way that there is."""

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator

from suptree.actors.errors import QuotaExceeded, Shutdown


class Ending:
    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, object]) -> "Ending":
        return cls()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def shutdown(self) -> None:
        pass


class Returns(Ending):
    async def run(self) -> None:
        pass


class NotAsync(Ending):
    def run(self) -> None:  # type: ignore[override]
        pass


class Raises(Ending):
    async def run(self) -> None:
        raise ValueError("no such model")


class RaisesAtLength(Ending):
    async def run(self) -> None:
        raise ValueError("é" * 1_000_000)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot be printed")


class RaisesBadly(Ending):
    async def run(self) -> None:
        raise Unprintable


class ExitsWith3(Ending):
    async def run(self) -> None:
        sys.exit(3)


class ExitsWith0(Ending):
    async def run(self) -> None:
        sys.exit()


class Interrupts(Ending):
    async def run(self) -> None:
        raise KeyboardInterrupt


class ExitsWaitedFor(Ending):
    """As asyncio would let it out of the loop: from a task of its own."""

    async def run(self) -> None:
        await asyncio.wait_for(self._soon(), 10)

    async def _soon(self) -> None:
        await asyncio.sleep(0.1)
        sys.exit("no key")


class ExitsInGroup(ExitsWaitedFor):
    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._soon())


class ExitsBeside(ExitsWaitedFor):
    async def run(self) -> None:
        self._beside = asyncio.create_task(self._soon())
        await asyncio.Event().wait()


class ExitsInCallback(Ending):
    async def run(self) -> None:
        asyncio.get_running_loop().call_later(0.1, sys.exit, 99999999999)
        await asyncio.Event().wait()


class ExitsWhileItBegins(ExitsWaitedFor):
    beside: asyncio.Task[None]

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, object]) -> "Ending":
        agent = cls()
        agent.beside = asyncio.create_task(agent._soon())
        await asyncio.Event().wait()
        return agent


class Yields(Ending):
    async def run(self) -> AsyncIterator[int]:  # type: ignore[override]
        yield 1


class Segfaults(Ending):
    async def run(self) -> None:
        ctypes.string_at(0)


class Blocks(Ending):
    async def run(self) -> None:
        time.sleep(1000)  # noqa: ASYNC251


class LeavesThread(Ending):
    async def run(self) -> None:
        threading.Thread(target=time.sleep, args=(1000,)).start()


class Stubborn(Ending):
    async def run(self) -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue


class BlocksInShutdown(Ending):
    async def shutdown(self) -> None:
        time.sleep(1000)  # noqa: ASYNC251


class ExitsInShutdown(Ending):
    async def shutdown(self) -> None:
        sys.exit(1)


class Prints(Ending):
    async def run(self) -> None:
        print("printed")
        print("to stderr", file=sys.stderr)
        sys.stdout.buffer.write(b"through the buffer\n")
        subprocess.run(["echo", "from a child process"], check=True)  # noqa: ASYNC221
        os.write(2, b"from C\n")
        print("no newline at the end", end="")


class PrintsTooMuch(Ending):
    """Prints more than it may."""

    async def run(self) -> None:
        while True:
            print("x" * 1000)
            await asyncio.sleep(0)


class Eats(Ending):
    """Takes more memory than it may."""

    async def run(self) -> None:
        self.eaten = bytearray(b"x") * 200_000_000
        await asyncio.sleep(1000)


class Waits(Ending):
    """Does nothing, for long."""

    async def run(self) -> None:
        await asyncio.sleep(1000)


class LimitedInGroup(Ending):
    """Two tasks of a group fail together; the quota is what counts of them."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fail(ValueError("beside")))
            group.create_task(self._fail(QuotaExceeded("enough", 30)))

    async def _fail(self, error: Exception) -> None:
        raise error


class LimitedWhileClosing(Ending):
    """The session of a client cannot be closed after a quota was hit."""

    async def run(self) -> None:
        try:
            raise QuotaExceeded("enough", 30)
        finally:
            self.close()

    def close(self) -> None:
        raise ConnectionError("closed already")


class LimitedBehind(Ending):
    async def run(self) -> None:
        raise RuntimeError("cannot go on") from QuotaExceeded("enough", 30)


class LimitedBeside(Ending):
    """In a task that nobody waits for."""

    async def run(self) -> None:
        asyncio.create_task(self._soon())  # noqa: RUF006
        await asyncio.Event().wait()

    async def _soon(self) -> None:
        await asyncio.sleep(0.1)
        raise QuotaExceeded("enough", 30)


class LimitedInCallback(LimitedBeside):
    async def run(self) -> None:
        asyncio.get_running_loop().call_soon(self._raise)
        await asyncio.Event().wait()

    def _raise(self) -> None:
        raise QuotaExceeded("enough", 30)


class LimitedInThread(LimitedInCallback):
    async def run(self) -> None:
        threading.Thread(target=self._raise).start()
        await asyncio.Event().wait()


class LimitedInHealthCheck(LimitedInCallback):
    async def run(self) -> None:
        await asyncio.Event().wait()

    async def health_check(self) -> bool:
        try:
            self._raise()
        except QuotaExceeded as error:
            raise ConnectionError("no model server") from error
        return True


class Forks(Ending):
    """Forks, and says how the child ended."""

    async def run(self) -> None:
        # When nothing of its beginning is on its way any more.
        await asyncio.sleep(0.5)
        child = os.fork()
        if child == 0:
            await self.be_child()
            return
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        # Long enough for whatever the child may have said in our name.
        await asyncio.sleep(0.3)
        raise Shutdown(f"the child ended with status {os.waitstatus_to_exitcode(status)}")

    async def be_child(self) -> None:
        """And return."""


class ForksToRaise(Forks):
    async def be_child(self) -> None:
        raise QuotaExceeded("the child has had enough")


class ForksToExit(Forks):
    async def be_child(self) -> None:
        sys.exit(7)


class ForksToWait(Forks):
    """What the child waits for belongs to the loop of its parent."""

    def __init__(self) -> None:
        self.waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def be_child(self) -> None:
        await self.waits


class ForksInHealthCheck(Ending):
    """The child of a health check says that it is not well."""

    def __init__(self) -> None:
        self.children = 0
        self.enough = asyncio.Event()

    async def run(self) -> None:
        await self.enough.wait()
        raise Shutdown("the child ended with status 0")

    async def health_check(self) -> bool:
        child = os.fork()
        if child == 0:
            return False
        await asyncio.to_thread(os.waitpid, child, 0)
        self.children += 1
        if self.children == 2:
            self.enough.set()
        return True
