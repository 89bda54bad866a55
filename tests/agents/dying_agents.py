"""Native agents that die with secrets in their mouths."""

import asyncio
import logging
import os
import subprocess
import sys
from typing import Any


class Leaky:
    """Prints what it was given, and raises it."""

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, Any]) -> "Leaky":
        return cls()

    async def run(self) -> None:
        for name in sorted(os.environ):
            print(name, os.environ[name])
            print(name, os.environ[name], file=sys.stderr)
        os.write(1, f"from C with {os.environ['NATIVE_PASSWORD']}\n".encode())
        subprocess.run(["sh", "-c", "echo as a child with $INHERITED_PASSWD >&2"], check=True)  # noqa: ASYNC221
        logging.getLogger("mine").error("cannot log in with %s", os.environ["NATIVE_API_KEY"])
        asyncio.get_running_loop().call_soon(self.fail)
        await asyncio.sleep(0.1)
        raise ValueError(f"cannot log in with {os.environ['NATIVE_API_KEY']} and {os.environ['INHERITED_TOKEN']}")

    def fail(self) -> None:
        """What asyncio logs by itself."""
        raise RuntimeError(f"no session for {os.environ['NATIVE_PASSWORD']}")

    async def shutdown(self) -> None:
        pass


class Prints(Leaky):
    """Prints a line and lives on."""

    async def run(self) -> None:
        print("its last words")
        await asyncio.Event().wait()


class Asked(Leaky):
    """Says its configuration when it is asked how it is."""

    config: dict[str, Any]

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, Any]) -> "Asked":
        agent = cls()
        agent.config = config
        return agent

    async def run(self) -> None:
        print(self.config)
        await asyncio.Event().wait()

    def health_check(self) -> bool:
        raise ValueError(f"unwell with {self.config['auth']['config_key']} at {self.config['config_url']}")
