"""What a `ProcessManager` refuses at the call, and what it answers by itself just after a command of its own was refused, or failed."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from suptree.actors.errors import AskFailed, InputRefused, SuptreeError
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


async def first(lines: Any) -> object:
    async for line in lines:
        return line
    return None


ONLY_FUNCTIONS = "callback must be a function, plain or coroutine, that takes one argument, not 3"


@pytest.mark.parametrize("subscribe", [lambda pm: pm.on("exited", 3), lambda pm: pm.registry.subscribe(3)], ids=["on", "subscribe"])
def test_a_callback_that_cannot_be_called_is_refused_where_it_is_given(subscribe: Callable[[ProcessManager], object]) -> None:
    with pytest.raises(TypeError, match=ONLY_FUNCTIONS):
        subscribe(ProcessManager())


@pytest.mark.parametrize("tree", [None, 3, b"shop.toml", [{}]], ids=repr)
def test_a_tree_that_is_neither_a_path_nor_a_mapping_is_refused(tree: Any) -> None:
    said = f"tree must be the path of a tree file, or a mapping of the same shape, not {tree!r}"
    with pytest.raises(TypeError, match=re.escape(said)):
        asyncio.run(ProcessManager().apply(tree))


def test_a_number_of_lines_that_is_none_is_refused_by_logs_and_output_alike() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", SLEEP)
            wrong: tuple[Any, ...] = (-1, 1_000_001, True, "3", None, 1.5)
            for lines in wrong:
                said = re.escape(f"lines must be a whole number from 0 to 1000000, not {lines!r}")
                with pytest.raises(SuptreeError, match=said):
                    await pm.logs("a", lines)
                with pytest.raises(SuptreeError, match=said):
                    await asyncio.wait_for(first(pm.output("a", lines=lines)), 20)

    run(program)


def test_what_is_said_to_an_agent_must_be_a_text(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", {**SLEEP, "stdin": "pipe"})
            wrong: Any = 3
            for asked in (pm.ask("a", wrong), first(pm.ask_stream("a", wrong))):
                with pytest.raises(InputRefused, match=r"^'a' was not asked: the prompt must be a text, not int$"):
                    await asked
            with pytest.raises(InputRefused, match=r"^'a' was not asked: UTF-8 cannot encode the text$"):
                await pm.ask("a", "\ud800")
            assert await pm.tell("a", wrong) is False
            assert ["could not tell agent a: 'a' took no input: the line must be a text, not int"] == caplog.messages

    run(program)
