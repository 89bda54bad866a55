"""Asking native agents: every question is answered once, however the agent ends."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.errors import AskFailed, InputRefused, RequestTimeout
from suptree.actors.native.questions import QUESTIONS_LIMIT, REPLY_LIMIT
from suptree.actors.output.output_log import log_path
from suptree.control.client.client import Client
from suptree.testing import LiveTree, kill
from tests.polling import poll_until, poll_until_async

AGENTS = str(Path(__file__).parents[1] / "agents")
SUPTREE = str(Path(sys.executable).parent / "suptree")
HEARTBEAT = "heartbeat = { interval = 0.2, suspect_after = 1, dead_after = 2 }"


def agent(name: str, more: str = "") -> str:
    return f'[agents.{name.lower()}]\ntype = "native_llm"\nfactory = "asked_agents:{name}"\n{HEARTBEAT}\n{more}\n'


TREE = (
    "[supervisors.root]\nmax_restarts = 100\n"
    + "".join(map(agent, ("Oracle", "Teller", "Deaf", "Speaker", "Slotted", "Asked", "bare")))
    + '[agents.cat]\ntype = "process_wrapper"\ncommand = "cat"\nstdin = "pipe"\n'
)


@pytest.fixture(scope="module")
def live() -> Iterator[LiveTree]:
    with LiveTree(TREE, sys_path=[AGENTS]) as tree:
        tree.wait_until_all_run()
        yield tree


@pytest.fixture
def oracle(live: LiveTree) -> LiveTree:
    """The tree, with an oracle that runs, whatever the test before did to it."""
    live.wait_until_all_run(30)
    return live


def ask(live: LiveTree, agent_id: str, prompt: str, limit: float = 20) -> Any:
    return live.ask(lambda client: client.ask(agent_id, prompt, timeout=limit))


def stream(live: LiveTree, agent_id: str, prompt: str, limit: float = 20) -> list[Any]:
    """The parts of a reply, and the error that ended it."""

    async def read(client: Client) -> list[Any]:
        parts: list[Any] = []
        try:
            async for part in client.ask_stream(agent_id, prompt, timeout=limit):
                parts += [part]
        except AskFailed as failed:
            parts.append(failed)
        return parts

    return live.ask(read)


def wait_for_incarnation_after(live: LiveTree, incarnation: int) -> dict[str, Any]:
    """The first status with a later incarnation of the oracle. Before that, its row still says that the one that ended runs."""
    return live.wait_until(lambda s: any(row["id"] == "oracle" and row["incarnation"] > incarnation for row in s["agents"]))


def refusal(live: LiveTree, agent_id: str, prompt: str) -> str:
    with pytest.raises((AskFailed, InputRefused)) as caught:
        ask(live, agent_id, prompt)
    return f"{type(caught.value).__name__}: {caught.value}"


def printed(live: LiveTree, agent_id: str) -> str:
    return log_path(str(live.launcher.paths.state), agent_id).read_text()


def wait_for_print(live: LiveTree, agent_id: str, text: str, count: int = 1, within: float = 10) -> None:
    poll_until(lambda: printed(live, agent_id).count(text) >= count, within, lambda: printed(live, agent_id))


class Waiting:
    """How often the oracle was asked to wait: each question comes by a connection of its own, in any order."""

    def __init__(self, live: LiveTree) -> None:
        self._live = live
        self._before = self._count()

    def _count(self) -> int:
        return printed(self._live, "oracle").count("is asked to wait")

    async def until(self, questions: int) -> None:
        """Return when so many have arrived."""
        await poll_until_async(lambda: self._count() >= self._before + questions)


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        ("echo hello", "hello"),
        ("echo ", ""),
        ("echo zwei\n日本 \x00", "zwei\n日本 \x00"),
        ("echo " + "x" * 1_000_000, "x" * 1_000_000),
        ("json", {"answer": [1, None, {"deep": True}]}),
        ("nothing", None),
        (f"long {REPLY_LIMIT - 2}", "x" * (REPLY_LIMIT - 2)),
    ],
)
def test_the_reply_is_what_the_agent_returned(oracle: LiveTree, prompt: str, reply: Any) -> None:
    assert reply == ask(oracle, "oracle", prompt)
    assert [reply] == stream(oracle, "oracle", prompt)


@pytest.mark.parametrize(
    ("agent_id", "prompt", "expected"),
    [
        ("oracle", "raise no idea", "AskFailed: 'oracle' did not answer: ValueError: no idea"),
        # What no JSON can hold.
        ("oracle", "half", r"AskFailed: 'oracle' did not answer: ValueError: half \xed\xa0\x80"),
        ("oracle", "object", "AskFailed: 'oracle' did not answer: its reply, a object, is not what JSON can express"),
        ("oracle", f"long {REPLY_LIMIT - 1}", "AskFailed: 'oracle' did not answer: its reply is longer than 1048576 bytes"),
        ("asked", "x", "InputRefused: 'asked' was not asked: it has no ask() that answers questions"),
        ("cat", "x", "InputRefused: 'cat' was not asked: it is a program, and only a native agent can be asked: see tell"),
        ("root", "x", "InputRefused: 'root' was not asked: it is a supervisor, not an agent"),
        ("oracle", "x" * 2**20, "InputRefused: 'oracle' was not asked: a text must be shorter than 1048576 bytes, not 1048576"),
        ("oracle", "\udcff", "InputRefused: 'oracle' was not asked: UTF-8 cannot encode the text"),
    ],
)
def test_an_error_is_the_answer_and_the_agent_lives_on(oracle: LiveTree, agent_id: str, prompt: str, expected: str) -> None:
    before = oracle.agent("oracle")["incarnation"]
    assert expected == refusal(oracle, agent_id, prompt)
    assert ("still here", before) == (ask(oracle, "oracle", "echo still here"), oracle.agent("oracle")["incarnation"])


@pytest.mark.parametrize(
    ("prompt", "expected", "exit_class", "reason"),
    [
        ("QuotaExceeded no more today", "no more today", "quota", "no more today"),
        ("BudgetExceeded all spent", "all spent", "budget", "all spent"),
        ("half Failed", r"half \xed\xa0\x80", "failed", r"half \xed\xa0\x80"),
        ("Hung no answer", "no answer", "hung", "no answer"),
        ("Failed out of luck", "out of luck", "failed", "out of luck"),
        ("CannotRun no key", "no key", "permanent", "no key"),
        ("Shutdown done", "done", "shutdown", "done"),
        ("exit", "SystemExit: 3", "failed", "sys.exit: exit 3"),
    ],
)
def test_an_error_that_ends_the_agent_is_the_answer_and_its_exit(
    oracle: LiveTree, prompt: str, expected: str, exit_class: str, reason: str
) -> None:
    incarnation = oracle.agent("oracle")["incarnation"]
    with pytest.raises(AskFailed) as caught:
        ask(oracle, "oracle", prompt)
    assert f"'oracle' did not answer: {expected}" == str(caught.value)
    assert (None if prompt == "exit" else exit_class) == caught.value.exit_class
    status = wait_for_incarnation_after(oracle, incarnation)
    last = next(row["last_exit"] for row in status["agents"] if row["id"] == "oracle")
    assert (exit_class, reason) == (last["class"], last["reason"])


def test_a_client_that_waits_when_the_agent_ends_hears_that_it_did(oracle: LiveTree) -> None:
    arrived = Waiting(oracle)

    async def talk(client: Client) -> list[Any]:
        waiting = [asyncio.create_task(client.ask("oracle", "wait", timeout=60)) for _ in range(3)]
        streaming = asyncio.create_task(anext(client.ask_stream("oracle", "wait", timeout=60)))
        await arrived.until(4)
        with pytest.raises(AskFailed, match="out of luck"):
            await client.ask("oracle", "Failed out of luck")
        return [str(error) for error in await asyncio.gather(*waiting, streaming, return_exceptions=True)]

    incarnation = oracle.agent("oracle")["incarnation"]
    answer = "'oracle' did not answer: it ended meanwhile: failed (out of luck)"
    assert [answer] * 4 == oracle.ask(talk)
    wait_for_incarnation_after(oracle, incarnation)


def test_a_client_that_waits_when_the_agent_is_killed_hears_that_it_was(oracle: LiveTree) -> None:
    incarnation = oracle.agent("oracle")["incarnation"]
    assert "AskFailed: 'oracle' did not answer: it ended meanwhile" == refusal(oracle, "oracle", "die")
    wait_for_incarnation_after(oracle, incarnation)
    oracle.wait_until_all_run()

    arrived = Waiting(oracle)

    async def talk(client: Client) -> list[Any]:
        waiting = asyncio.create_task(client.ask("oracle", "wait", timeout=60))
        await arrived.until(1)
        await client.stop("oracle")
        late = await asyncio.gather(waiting, client.ask("oracle", "echo x"), return_exceptions=True)
        await client.start("oracle")
        return [str(error) for error in late]

    stopped = "'oracle' did not answer: it ended meanwhile: shutdown (stop requested)"
    assert [stopped, "'oracle' was not asked: it is not running"] == oracle.ask(talk)


def test_at_the_deadline_it_is_cancelled_and_the_client_gets_an_error(oracle: LiveTree) -> None:
    before = printed(oracle, "oracle").count("cancelled")
    begun = time.monotonic()
    with pytest.raises(RequestTimeout, match=r"^'oracle' did not answer within 0.3 s$"):
        ask(oracle, "oracle", "wait", 0.3)
    assert 0.3 <= time.monotonic() - begun < 3
    wait_for_print(oracle, "oracle", "cancelled", before + 1)
    with pytest.raises(RequestTimeout, match=r"did not answer within 0.3 s$"):
        stream(oracle, "oracle", "wait", 0.3)
    wait_for_print(oracle, "oracle", "cancelled", before + 2)
    assert "alive" == ask(oracle, "oracle", "echo alive")


def test_who_goes_away_takes_the_question_back(oracle: LiveTree) -> None:
    before, arrived = printed(oracle, "oracle").count("cancelled"), Waiting(oracle)

    async def leave(client: Client) -> None:
        waiting = asyncio.create_task(client.ask("oracle", "wait", timeout=600))
        await arrived.until(1)
        waiting.cancel()
        await asyncio.wait([waiting])

    oracle.ask(leave)
    wait_for_print(oracle, "oracle", "cancelled", before + 1)

    closed = printed(oracle, "teller").count("closed")

    async def stop_reading(client: Client) -> None:
        parts = client.ask_stream("teller", "100000", timeout=600)
        assert "0 " == await anext(parts)
        await parts.aclose()

    oracle.ask(stop_reading)
    wait_for_print(oracle, "teller", "closed", closed + 1)


def test_a_reply_in_parts_comes_as_it_is_made(live: LiveTree) -> None:
    async def read(client: Client) -> list[Any]:
        return [part async for part in client.ask_stream("teller", "5", timeout=1)]

    parts = stream(live, "teller", "20")
    assert 1 < len(parts) <= 20
    assert "".join(f"{number} " for number in range(20)) == "".join(parts) == ask(live, "teller", "20")
    # It is sent while the agent goes on.
    with pytest.raises(RequestTimeout):
        live.ask(read)
    wait_for_print(live, "teller", "closed")


@pytest.mark.parametrize(("prompt", "why"), [("3", "ValueError: only three"), ("4", "a part of its reply was a int, not text")])
def test_an_error_in_the_middle_comes_after_the_parts_before_it(live: LiveTree, prompt: str, why: str) -> None:
    *parts, error = stream(live, "teller", prompt)
    assert ("".join(f"{number} " for number in range(int(prompt))), f"'teller' did not answer: {why}") == ("".join(parts), str(error))
    assert f"AskFailed: 'teller' did not answer: {why}" == refusal(live, "teller", prompt)


def test_only_so_many_questions_are_answered_at_a_time_and_one_that_resists_its_cancellation_counts(live: LiveTree) -> None:
    async def talk(client: Client) -> tuple[set[str], str]:
        late = await asyncio.gather(*(client.ask("deaf", "x", timeout=3) for _ in range(QUESTIONS_LIMIT)), return_exceptions=True)
        with pytest.raises(InputRefused) as refused:
            await client.ask("deaf", "x")
        return {str(error) for error in late}, str(refused.value)

    full = "'deaf' was not asked: it is answering 100 questions already"
    assert ({"'deaf' did not answer within 3 s"}, full) == live.ask(talk)


def test_an_agent_that_blocks_disturbs_no_other(oracle: LiveTree) -> None:
    incarnation = oracle.agent("oracle")["incarnation"]

    async def talk(client: Client) -> tuple[float, list[str]]:
        blocks, late = asyncio.create_task(client.ask("oracle", "block 1000", timeout=30)), None
        while late is None or late.exception() is None:
            # The first may overtake the one that blocks.
            late = asyncio.create_task(client.ask("oracle", "echo x", timeout=0.5))
            await asyncio.wait([late])
        blocked = [blocks, late]
        blocked.append(asyncio.create_task(client.tell("oracle", "x", timeout=0.3)))
        slowest = 0.0
        while not all(task.done() for task in blocked):
            begun = time.monotonic()
            assert "0 " == await client.ask("teller", "1")
            assert ["x"] == (await client.ask("speaker", "x"))[-1:]
            await client.tell("cat", "x")
            slowest = max(slowest, time.monotonic() - begun)
        return slowest, [f"{type(task.exception()).__name__}: {task.exception()}" for task in blocked]

    slowest, errors = oracle.ask(talk)
    assert [
        "AskFailed: 'oracle' did not answer: it ended meanwhile: hung (no ping from its actor for",
        "RequestTimeout: 'oracle' did not answer within 0.5 s",
        "RequestTimeout: 'oracle' did not take the text within 0.3 s",
    ] == [errors[0].partition(" for")[0] + " for", *errors[1:]]
    assert slowest < 1.5
    status = oracle.wait_until(lambda s: any(row["id"] == "oracle" and row["incarnation"] > incarnation for row in s["agents"]))
    assert {"oracle"} == {row["id"] for row in status["agents"] if row["last_exit"] and row["last_exit"]["class"] == "hung"}


def test_nothing_that_was_asked_or_answered_is_written_down(oracle: LiveTree) -> None:
    secret = "the-words-of-a-conversation"  # noqa: S105
    assert secret == ask(oracle, "oracle", f"echo {secret}")
    assert f"AskFailed: 'oracle' did not answer: ValueError: {secret}" == refusal(oracle, "oracle", f"raise {secret}")
    wait_for_print(oracle, "oracle", "its ask() raised ValueError")
    oracle.ask(lambda client: client.stop("oracle"))
    oracle.ask(lambda client: client.start("oracle"))
    found = [path for path in oracle.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert [] == found


def says(agent_id: str, status: str, shown: dict[str, Any]) -> bool:
    return status in [row["detail"] or "" for row in shown["agents"] if row["id"] == agent_id]


def test_what_an_agent_calls_update_heartbeat_with_is_its_status(live: LiveTree) -> None:
    for agent_id in ("speaker", "slotted", "bare"):
        for said, shown in (("reading\npage 3", "reading page 3"), ("x" * 5000, "x" * 499 + "…"), ("", ""), ("thinking", "thinking")):
            assert said == ask(live, agent_id, said)[-1]
            live.wait_until(partial(says, agent_id, shown))


def test_the_control_api_reports_every_fault_of_a_question_in_one_answer(live: LiveTree) -> None:
    async def post(body: Any, query: str = "") -> str:
        async with Client(live.launcher.paths.control_socket) as client:
            response = await client._http.post(f"/agents/oracle/ask{query}", json=body)
            assert 400 == response.status_code
            return str(response.json()["message"])

    what = 'what is asked is a text: {"prompt": "…"}: '
    seconds = "timeout must be a number of seconds above 0, and at most 86400"
    faults = f"{what}unknown key 'when'; prompt is missing; {seconds}; stream must be true or false"
    assert faults == asyncio.run(post({"timeout": -1, "stream": "yes", "when": "now"}))
    assert f"{what}it must be an object" == asyncio.run(post(["prompt"]))
    assert f"{what}prompt must be a text" == asyncio.run(post({"prompt": 1}))
    for timeout in (0, True, "1", None, 86401):
        assert f"{what}{seconds}" == asyncio.run(post({"prompt": "echo x", "timeout": timeout}))
    assert "no such parameter: stream" == asyncio.run(post({"prompt": "echo x"}, "?stream=true"))


def test_the_command_line_asks(live: LiveTree) -> None:
    def suptree(*arguments: str) -> tuple[int, str, str]:
        home = {**os.environ, "SUPTREE_HOME": str(live.home)}
        done = subprocess.run([SUPTREE, *arguments], env=home, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    live.wait_until_all_run(30)
    assert (0, "hello\n", "") == suptree("ask", "oracle", "echo hello")
    assert (0, "0 1 \n", "") == suptree("ask", "teller", "2")
    assert (0, '{"answer": [1, null, {"deep": true}]}\n', "") == suptree("ask", "oracle", "json")
    status, out, _ = suptree("ask", "oracle", "echo hello", "--json")
    assert (0, {"id": "oracle", "reply": "hello"}) == (status, json.loads(out))
    assert (1, "0 1 2 \n", "suptree: 'teller' did not answer: ValueError: only three\n") == suptree("ask", "teller", "3")
    assert (1, "", "suptree: 'oracle' did not answer within 0.2 s\n") == suptree("ask", "oracle", "wait", "--timeout", "0.2")
    assert 2 == suptree("ask", "oracle", "wait", "--timeout", "0")[0]
    assert 4 == suptree("ask", "nobody", "x")[0]


def test_a_registry_that_dies_loses_no_answer(oracle: LiveTree) -> None:
    registry = oracle.status()["pids"]["registry"]

    async def talk(client: Client) -> list[Any]:
        parts = client.ask_stream("teller", "300", timeout=60)
        text = await anext(parts)
        waiting = asyncio.create_task(client.ask("oracle", "block 0.5", timeout=30))
        kill(registry)
        try:
            async for part in parts:
                text += part
        except AskFailed as lost:
            text = str(lost)
        return [await waiting, text]

    done, text = oracle.ask(talk)
    # Parts that it took along are missed, and that is said: never is a reply shorter than it was.
    assert "done" == done
    assert text in (
        "".join(f"{number} " for number in range(300)),
        "'teller' did not answer: a part of the reply was lost on the way: ask again",
    )
