"""Asking native agents by `ProcessManager`: the reply, its parts, and each way in which it can be refused."""

import asyncio
from pathlib import Path

import pytest

from suptree.actors.errors import AskFailed, InputRefused, NoSuchAgent, RequestTimeout
from suptree.control import ProcessManager

AGENTS = str(Path(__file__).parents[1] / "agents")


def test_a_process_manager_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(AGENTS)

    async def talk() -> None:
        async with ProcessManager() as pm:
            await pm.start_agent("oracle", "native_llm", {"factory": "asked_agents:Oracle"})
            await pm.start_agent("teller", "native_llm", {"factory": "asked_agents:Teller"})
            assert "hello" == await pm.ask("oracle", "echo hello")
            assert ["0 ", "1 "] == "".join([part async for part in pm.ask_stream("teller", "2")]).replace(" ", " |").split("|")[:2]
            with pytest.raises(RequestTimeout):
                await pm.ask("oracle", "wait", timeout=0.2)
            with pytest.raises(AskFailed, match="no idea"):
                await pm.ask("oracle", "raise no idea")
            with pytest.raises(NoSuchAgent):
                await pm.ask("nobody", "x")
            with pytest.raises(InputRefused, match="timeout must be a number of seconds above 0"):
                await pm.ask("oracle", "echo x", timeout=0)
            blocked = asyncio.create_task(pm.ask("oracle", "block 3"))
            assert not await pm.tell("oracle", "x", timeout=0.2)
            assert "done" == await blocked

    asyncio.run(talk())
