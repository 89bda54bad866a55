"""A native agent that writes down what it runs with."""

import asyncio
import json
import os
import resource
from pathlib import Path
from typing import Any


class Writes:
    """Its environment as its children see it, and its limits, into the folder of its configuration."""

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, Any]) -> "Writes":
        folder = Path(config["folder"])
        writes = await asyncio.create_subprocess_exec("sh", "-c", 'env -0 > "$0.new"; mv "$0.new" "$0"', str(folder / "native"))
        await writes.wait()
        umask = os.umask(0)
        os.umask(umask)
        status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
        limits = {"umask": umask, "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "no_new_privs": status["NoNewPrivs"]}
        (folder / "native.limits").write_text(json.dumps(limits))
        return cls()
