"""The model behind an LLMAgent, through any-llm: any provider, and what its errors mean for the agent."""

import asyncio
import contextlib
import math
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from ..errors import CannotRun, Failed, Hung, QuotaExceeded
from ..exits import CauseId, retry_time
from .llm_config import LLMConfig

DEFAULT_MODEL = "claude-sonnet-4.6"

_HOW_TO_GIVE = "an agent inherits only what its table names, with env_inherit, env_from or env"

_PROVIDERS = (
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"(gpt|chatgpt|o\d)(-|$)"), "openai"),
    (re.compile(r"gemini-"), "gemini"),
    (re.compile(r"(mistral|magistral|ministral|codestral|devstral)-"), "mistral"),
    (re.compile(r"deepseek-"), "deepseek"),
    (re.compile(r"grok-"), "xai"),
)
"""Whose a model is, by how its name begins, where nothing says so."""

# Anthropic wants this to be given; any-llm would choose the same, and warn.
_ANTHROPIC_OUTPUT_TOKENS = 8192
# Where a provider does not count: as good a guess as there is for English.
_CHARACTERS_PER_TOKEN = 4

Result = TypeVar("Result")
Message = dict[str, str]


class PromptRefused(Exception):
    """The provider does not take this request: too long, filtered, or not valid. The next may be taken."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request."""

    prompt: int
    completion: int


def provider_and_name(model: str, config: LLMConfig) -> tuple[str | None, str]:
    """Which provider to ask for a model, and by which name; None stands for the OpenAI-compatible endpoint at `base_url`.

    A model may be given as `provider:name`. Raises CannotRun when nobody can say whose it is.
    """
    if config.base_url is not None and config.provider is None:
        return None, model
    provider, colon, name = model.partition(":")
    if config.provider is not None:
        provider, name = config.provider, name if colon and provider == config.provider else model
    elif not colon:
        name = model
        provider = next((provider for pattern, provider in _PROVIDERS if pattern.match(model)), "")
    if not provider or not name:
        unknown = CannotRun(f'model {model!r}: its name does not say which provider it is of: give "provider:model", or config.base_url')
        raise unknown.because(CauseId.MODEL_CONFIGURATION)
    if provider == "anthropic" and name.startswith("claude-"):
        # What people call 4.6, its API calls 4-6.
        name = name.replace(".", "-")
    return provider, name


class Model:
    """One model of one provider. Requests are made once: whether to try again is for the supervisor to say."""

    def __init__(self, model: str, config: LLMConfig) -> None:
        """Raises CannotRun when the library, the key or the provider is missing."""
        self.provider, self.name = provider_and_name(model, config)
        try:
            # Imported here: it takes 1.4 s and 60 MiB, which only those pay who run such an agent.
            import any_llm.exceptions  # noqa: PLC0415
        except ImportError:
            raise CannotRun('LLMAgent needs the extra "llm": pip install "suptree[llm]"').because(CauseId.MODEL_CONFIGURATION) from None
        self._errors = any_llm.exceptions
        self._config = config
        self._client = self._connect(any_llm.AnyLLM)

    def _connect(self, library: Any) -> Any:
        config = self._config
        key = None
        if config.api_key_env is not None:
            key = os.environ.get(config.api_key_env)
            if not key:
                raise CannotRun(
                    f"no API key: the agent's environment has no {config.api_key_env}, which config.api_key_env names: {_HOW_TO_GIVE}"
                ).because(CauseId.NO_API_KEY)
        options: dict[str, Any] = {"api_key": key, "api_base": config.base_url, "unified_exceptions": True, "max_retries": 0}
        try:
            if self.provider is None:
                return library.create_openai_compatible("endpoint", **options)
            try:
                return library.create(self.provider, **options)
            except self._errors.UnsupportedParameterError:
                # Its own library makes no second try, or has no option for that.
                del options["max_retries"]
                return library.create(self.provider, **options)
        except self._errors.MissingApiKeyError as missing:
            wanted = missing.env_var_name
            raise CannotRun(
                f"no API key: the agent's environment has no {wanted}: {_HOW_TO_GIVE}; config.api_key_env names another variable"
            ).because(CauseId.NO_API_KEY) from None
        except self._errors.UnsupportedProviderError:
            raise CannotRun(f"provider {self.provider!r}: there is no such provider").because(CauseId.MODEL_CONFIGURATION) from None
        except ImportError:
            lacking = CannotRun(f'provider {self.provider!r} needs its library: pip install "any-llm-sdk[{self.provider}]"')
            raise lacking.because(CauseId.MODEL_CONFIGURATION) from None

    @property
    def _who(self) -> str:
        return self.provider or "the endpoint"

    def _unusable(self, why: str) -> str:
        return f"no usable answer of {self._who} ({why})"

    async def complete(self, messages: list[Message], most: int | None) -> tuple[str, Usage]:
        """The reply to a conversation, of at most so many tokens."""
        answer = await self._in_time(self._client.acompletion(self.name, messages, **self._options(most)))
        if not answer.choices:
            raise Failed(self._unusable("it has no choices"))
        text = answer.choices[0].message.content or ""
        return text, _usage(answer.usage, messages, text)

    async def stream(self, messages: list[Message], most: int | None) -> AsyncGenerator[str | Usage, None]:
        """The same in parts; the usage comes last. Raises Failed when it breaks off."""
        options = self._options(most)
        if hasattr(self._client, "client") and type(self._client.client).__name__ == "AsyncOpenAI":
            options["stream_options"] = {"include_usage": True}
        chunks = await self._in_time(self._client.acompletion(self.name, messages, stream=True, **options))
        text, counted, is_whole = "", None, False
        try:
            while (chunk := await self._in_time(_next(chunks))) is not None:
                counted = chunk.usage or counted
                # The tokens of the whole come without a choice.
                is_whole |= bool(chunk.usage and not chunk.choices) or any(choice.finish_reason is not None for choice in chunk.choices)
                if part := (chunk.choices[0].delta.content if chunk.choices else None):
                    text += part
                    yield part
        finally:
            with contextlib.suppress(Exception):
                await chunks.aclose()
        if not is_whole:
            raise Failed(self._unusable(f"it broke off{f' after {len(text)} characters' if text else ''}"))
        yield _usage(counted, messages, text)

    def _options(self, most: int | None) -> dict[str, Any]:
        limits = [limit for limit in (self._config.max_output_tokens, most) if limit is not None]
        if self.provider == "anthropic":
            limits.append(_ANTHROPIC_OUTPUT_TOKENS)
        options: dict[str, Any] = {"max_tokens": min(limits)} if limits else {}
        if limits and self.provider is None:
            # any-llm sends OpenAI's new name for it alone, and not every endpoint knows that.
            options["extra_body"] = {"max_tokens": min(limits)}
        if self._config.temperature is not None:
            options["temperature"] = self._config.temperature
        return options

    async def _in_time(self, waiting: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self._config.timeout):
                return await waiting
        except TimeoutError:
            raise Hung(f"no answer of the model for {self._config.timeout:g} s").because(CauseId.MODEL_SILENT) from None
        except self._errors.AnyLLMError as error:
            raise self._meaning(error) from None
        except Exception as error:  # noqa: BLE001  (an answer that is none may raise anything, and the text may quote it)
            raise Failed(self._unusable(type(error).__name__)) from None

    def _meaning(self, error: Any) -> Exception:
        """What an error of the library means: a PromptRefused, or one that ends the agent, in words that hold nothing of what was said."""
        errors, said = self._errors, self._said(error)
        # Overloaded (503, Anthropic's 529) or closed for a while: a provider that names a time is asked again then, and not before.
        closed_for = _seconds(_retry_after(error)) if (error.status_code or 0) >= 500 else None
        if closed_for is not None:
            return QuotaExceeded(f"the model cannot be asked now: {said}", closed_for)
        missing = f"model {self.name!r} is not there, or cannot do this: {said}"
        meanings: tuple[tuple[Any, Callable[[], Exception]], ...] = (
            (errors.RateLimitError, lambda: QuotaExceeded(f"rate limit: {said}", _seconds(error.retry_after))),
            (errors.InsufficientFundsError, lambda: QuotaExceeded(f"no credit: {said}")),
            (errors.AuthenticationError, lambda: CannotRun(f"the API key was refused: {said}").because(CauseId.NO_API_KEY)),
            (
                errors.ModelNotFoundError | errors.UnsupportedParameterError,
                lambda: CannotRun(missing).because(CauseId.MODEL_CONFIGURATION),
            ),
            (
                errors.InvalidRequestError | errors.ContextLengthExceededError | errors.ContentFilterError,
                lambda: PromptRefused(f"{said}: {error.message}"),
            ),
        )
        return next((mean() for kind, mean in meanings if isinstance(error, kind)), Failed(f"the model could not be asked: {said}"))

    def _said(self, error: Any) -> str:
        if error.status_code is None:
            return self._unusable(type(error.original_exception or error).__name__)
        code = next((code for code in (error.code, error.error_type) if isinstance(code, str) and _CODE.fullmatch(code)), None)
        return f"{self._who} answered with status {error.status_code}" + (f" ({code})" if code else "")


_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)


async def _next(chunks: AsyncIterator[Any]) -> Any:
    return await anext(chunks, None)


def _retry_after(error: Any) -> str | None:
    """What the provider said in its header Retry-After, which the library passes on for rate limits alone; or in retry-after-ms."""
    headers = getattr(getattr(error.original_exception, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    said = headers.get("retry-after")
    if said is None and re.fullmatch(r"\d{1,12}", milliseconds := str(headers.get("retry-after-ms"))):
        said = str(int(milliseconds) / 1000)
    return said


def _seconds(retry_after: str | None) -> float | None:
    """Seconds to wait, from what a Retry-After header says: seconds, or a date."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            at = parsedate_to_datetime(retry_after)
            seconds = max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
        except (ValueError, OverflowError):
            return None
    return retry_time(seconds)


def _usage(counted: Any, messages: list[Message], text: str) -> Usage:
    usage = Usage(0, 0) if counted is None else Usage(max(0, counted.prompt_tokens or 0), max(0, counted.completion_tokens or 0))
    return estimated_usage(messages, text) if usage == Usage(0, 0) else usage


def estimated_usage(messages: list[Message], text: str) -> Usage:
    """What a conversation and its reply may have used, where nobody counts."""
    prompt = sum(len(message["content"]) for message in messages)
    return Usage(math.ceil(prompt / _CHARACTERS_PER_TOKEN), math.ceil(len(text) / _CHARACTERS_PER_TOKEN))
