"""The questions that an agent answers: each once, in whatever order its end and its replies come."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from suptree.actors.base.messages import Ask
from suptree.actors.errors import QuotaExceeded
from suptree.actors.native.questions import Questions

Given = list[tuple[str, str, Any]]


class Agent:
    async def ask(self, prompt: str) -> str:
        if prompt == "quota":
            raise QuotaExceeded("enough", 5)
        if prompt == "wait":
            await asyncio.Event().wait()
        return f"{prompt}!"


async def immediately() -> None:
    """Nothing has to be kept."""


async def never() -> None:
    await asyncio.Event().wait()


async def idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def talk(script: Callable[[Questions], Awaitable[None]], settled: Callable[[], Awaitable[None]] = immediately) -> tuple[Given, list[str]]:
    """What was answered, and which errors ended the agent."""
    answers: Given = []
    fatal: list[str] = []

    async def run() -> tuple[Given, list[str]]:
        questions = Questions(
            Agent(),
            answer=lambda request, answer, value, _more, _ends: answers.append((request, answer, value)),
            describe=str,
            fatal=lambda error: fatal.append(str(error)),
            settled=settled,
        )
        await script(questions)
        await idle()
        # The end of the loop cancels what is still answered.
        return list(answers), list(fatal)

    return asyncio.run(run())


def ask(request: str, text: str) -> Ask:
    return Ask("a", 1, request, text)


ENDED = {"message": "it ended", "class": None, "retry_after": None}


def test_a_reply_waits_until_what_was_learned_is_kept() -> None:
    async def script(questions: Questions) -> None:
        questions.take(ask("1", "hello"))
        await idle()

    assert ([("1", "ok", "hello!")], []) == talk(script)
    assert ([], []) == talk(script, never)


def test_at_the_end_a_reply_that_is_there_is_given_and_a_client_that_still_waits_gets_an_error() -> None:
    async def script(questions: Questions) -> None:
        questions.take(ask("1", "hello"))
        questions.take(ask("2", "wait"))
        await idle()
        questions.end("it ended")
        questions.end("it ended")

    assert ([("1", "ok", "hello!"), ("2", "failed", ENDED)], []) == talk(script, never)


def test_what_was_taken_back_is_not_answered() -> None:
    async def script(questions: Questions) -> None:
        questions.take(ask("1", "hello"))
        questions.take_back("1")
        questions.take_back("1")
        questions.take(ask("2", "wait"))
        await idle()
        questions.take_back("2")
        questions.end("it ended")

    assert ([], []) == talk(script)


def test_an_error_that_ends_the_agent_is_answered_before_it_ends() -> None:
    async def script(questions: Questions) -> None:
        questions.take(ask("1", "quota"))
        await idle()
        questions.end("it ended")

    assert ([("1", "failed", {"message": "enough", "class": "quota", "retry_after": 5.0})], ["enough"]) == talk(script)
