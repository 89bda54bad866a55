"""`LLMAgent`: a conversation with a model of any provider, as a native agent. It needs the extra `llm`."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ..errors import AgentEnds, BudgetExceeded
from ..exits import CauseId
from .llm_config import LLMConfig, read_config
from .llm_provider import DEFAULT_MODEL, Message, Model, PromptRefused, Usage, estimated_usage

# Far below what a checkpoint may hold.
_CHARACTERS_KEPT = 200_000


class LLMAgent:
    """Answers what it is asked, one question after the other, and remembers the last messages, also across a crash.

    An error that the agent cannot survive ends it, with the class of the error: a rate limit as `quota`, a model that keeps silent as
    `hung`, a budget that is used up as `budget`, an error of the provider as `failed`, a key or model that is refused as `permanent`. The
    client gets the error too.
    """

    @classmethod
    async def create(cls, agent_id: str, name: str, role: str, model: str, config: dict[str, Any]) -> "LLMAgent":  # noqa: ARG003  (the contract)
        """Make the agent; what its `config` may hold is in LLMConfig."""
        settings = read_config(config)
        return cls(Model(model or DEFAULT_MODEL, settings), role, settings)

    def __init__(self, model: Model, role: str, config: LLMConfig) -> None:
        self._model = model
        self._config = config
        system = role if config.system_prompt is None else config.system_prompt
        self._system: list[Message] = [{"role": "system", "content": system}] if system else []
        self._messages: list[Message] = []
        self._one_at_a_time = asyncio.Lock()
        self._end: asyncio.Future[AgentEnds] = asyncio.get_running_loop().create_future()
        self._requests = self._prompt_tokens = self._completion_tokens = 0

    async def run(self) -> None:
        """Wait for questions, until it can no longer answer."""
        await self._say_usage()
        raise await self._end

    async def ask(self, prompt: str) -> str:
        """The model's reply."""
        async with self._one_at_a_time:
            messages = self._with(prompt)
            room = self._room_for(messages)
            try:
                text, usage = await self._model.complete(messages, room)
            except asyncio.CancelledError:
                await self._charge(estimated_usage(messages, ""))
                raise
            self._remember(prompt, text)
            await self._charge(usage)
            return text

    async def ask_stream(self, prompt: str) -> AsyncGenerator[str, None]:
        """The model's reply in parts, as they come."""
        async with self._one_at_a_time:
            messages = self._with(prompt)
            parts = self._model.stream(messages, self._room_for(messages))
            text, usage = "", None
            try:
                async for part in parts:
                    if isinstance(part, Usage):
                        usage = part
                    else:
                        text += part
                        yield part
                self._remember(prompt, text)
            except (asyncio.CancelledError, GeneratorExit):
                # The client has stopped waiting; but the model has read the question.
                usage = usage or estimated_usage(messages, text)
                raise
            finally:
                await parts.aclose()
                if usage is not None or text:
                    await self._charge(usage or estimated_usage(messages, text))

    async def health_check(self) -> bool:
        """It is well as long as its loop runs; whether its model is, a question shows."""
        return True

    async def update_heartbeat(self, status: str) -> None:
        """Whatever this is called with is shown as its status."""

    async def shutdown(self) -> None:
        """There is nothing to put away."""

    def checkpoint(self) -> dict[str, Any]:
        """The conversation, and nothing else: what it has used is counted anew in each life, as against every limit."""
        return {"messages": self._messages}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with a conversation."""
        messages = [{"role": message["role"], "content": message["content"]} for message in state["messages"]]
        if any(message["role"] not in ("user", "assistant") or not isinstance(message["content"], str) for message in messages):
            raise ValueError("not the messages of a conversation")
        self._messages = messages
        self._trim()

    def _with(self, prompt: str) -> list[Message]:
        return [*self._system, *self._messages, {"role": "user", "content": prompt}]

    def _room_for(self, messages: list[Message]) -> int | None:
        """How many tokens a reply may have; None is no limit.

        Raises the error that has ended this agent; BudgetExceeded when the conversation does not fit into what is left of the budget; and
        PromptRefused when the question alone would not fit into the whole budget: then the next question may.
        """
        if self._end.done():
            raise self._end.result()
        most = self._config.max_tokens
        if most is None:
            return None
        question, conversation = (estimated_usage(part, "").prompt for part in (messages[-1:], messages))
        if question > most:
            raise PromptRefused(f"the question has about {question} tokens, and max_tokens is {most}")
        if conversation > most - self._used:
            over = BudgetExceeded(f"the next prompt has about {conversation} tokens; it used {self._used}, and has max_tokens of {most}")
            self._end.set_result(over)
            raise over
        return max(1, most - self._used)

    @property
    def _used(self) -> int:
        return self._prompt_tokens + self._completion_tokens

    def _remember(self, prompt: str, reply: str) -> None:
        # No provider takes a message without text.
        if reply.strip():
            self._messages += [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
            self._trim()

    async def _charge(self, usage: Usage) -> None:
        self._requests += 1
        self._prompt_tokens += usage.prompt
        self._completion_tokens += usage.completion
        await self._say_usage()
        most = self._config.max_tokens
        if most is not None and self._used >= most and not self._end.done():
            used_up = BudgetExceeded(f"it used {self._used} tokens, and has max_tokens of {most}")
            self._end.set_result(used_up.because(CauseId.TOKENS))

    def _trim(self) -> None:
        """Forget the oldest questions, each with its reply."""
        while self._messages and (
            len(self._messages) > self._config.history or sum(len(message["content"]) for message in self._messages) > _CHARACTERS_KEPT
        ):
            del self._messages[:2]

    async def _say_usage(self) -> None:
        requests = "1 request" if self._requests == 1 else f"{self._requests} requests"
        tokens = f"{self._used} tokens ({self._prompt_tokens} prompt, {self._completion_tokens} completion)"
        await self.update_heartbeat(f"{self._model.name}: {requests}, {tokens}")
