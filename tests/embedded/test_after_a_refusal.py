"""What a `ProcessManager` answers by itself just after a command of its own was refused, or failed."""

import pytest

from suptree.actors.errors import AskFailed
from suptree.control import ProcessManager

from .managed import AGENTS, SLEEP, manager, run, standing

MORTAL = {"factory": "pm_agents:Mortal", "role": "tester", "model": "none"}
LIVES = 5


def test_after_a_refusal_a_manager_knows_what_was_known_when_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", AGENTS)
    monkeypatch.syspath_prepend(AGENTS)

    async def ask_until_dead(pm: ProcessManager, agent_id: str) -> tuple[str, int]:
        assert await pm.start_agent(agent_id, "native_llm", {**MORTAL, "auto_restart": False})
        with pytest.raises(AskFailed, match="ended"):
            await pm.ask(agent_id, "die")
        return standing(pm)[agent_id]

    async def test() -> None:
        async with manager() as pm:
            assert [("crashed", 1)] * LIVES == [await ask_until_dead(pm, f"mortal{number}") for number in range(LIVES)]
            # A command that is refused knows as much.
            assert await pm.start_agent("sleeper", "process_wrapper", SLEEP)
            assert not await pm.start_agent("sleeper", "process_wrapper", SLEEP)
            assert ("running", 1) == standing(pm)["sleeper"]

    run(test)
