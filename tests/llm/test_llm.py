"""What an LLMAgent is configured with, and whose a model is."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from suptree.actors.errors import CannotRun, QuotaExceeded
from suptree.actors.llm.llm_config import LLMConfig, read_config
from suptree.actors.llm.llm_provider import _seconds, provider_and_name


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(CannotRun) as caught:
        read_config(config)
    return str(caught.value)


def test_nothing_has_to_be_configured() -> None:
    assert LLMConfig() == read_config({})


def test_whatever_is_given_is_taken() -> None:
    given: dict[str, Any] = {
        "system_prompt": "",
        "provider": "openai",
        "base_url": "https://[::1]:8000/v1",
        "api_key_env": "MY_KEY",
        "temperature": 0,
        "max_output_tokens": 1,
        "max_tokens": 10,
        "timeout": 0.5,
        "history": 0,
    }
    assert LLMConfig(**given) == read_config(given)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("system_prompt", [None, 5]),
        ("provider", ["", 5]),
        ("base_url", ["", "x", "file:///etc", "http://", "http://user:password@host", "http://host:0", "http://host:x", 5]),
        ("api_key_env", ["", "sk-0123", "A B", "KEY=value", 5]),
        ("temperature", [-1, "hot", True, float("nan")]),
        ("max_output_tokens", [0, 1.5, True, "1"]),
        ("max_tokens", [0, -1, 1.5, True]),
        ("timeout", [0, -1, float("inf"), "1", True]),
        ("history", [-1, 1.5, True]),
    ],
)
def test_what_cannot_be_is_refused_without_being_shown(key: str, values: list[Any]) -> None:
    for value in values:
        error = refusal({key: value})
        assert error.startswith(f"config.{key}: must ")
        assert "sk-0123" not in error
        assert "password@" not in error


def test_every_fault_is_reported_in_one_answer() -> None:
    error = refusal({"api_key": "sk-0123", "model": "x", "timeout": 0, "history": -1})
    assert [
        "config.api_key: keys come from the environment: name the variable that holds it, api_key_env",
        "config.model: belongs into the table of the agent: model",
        "config.timeout: must be a number of seconds above 0",
        "config.history: must be a whole number, 0 or more",
    ] == error.split("; ")


@pytest.mark.parametrize(
    ("model", "config", "expected"),
    [
        ("claude-sonnet-4.6", {}, ("anthropic", "claude-sonnet-4-6")),
        ("claude-sonnet-4-6", {}, ("anthropic", "claude-sonnet-4-6")),
        ("anthropic:claude-opus-4.1", {}, ("anthropic", "claude-opus-4-1")),
        ("gpt-5", {}, ("openai", "gpt-5")),
        ("o3", {}, ("openai", "o3")),
        ("o4-mini", {}, ("openai", "o4-mini")),
        ("gemini-2.5-pro", {}, ("gemini", "gemini-2.5-pro")),
        ("mistral-large-latest", {}, ("mistral", "mistral-large-latest")),
        ("openrouter:anthropic/claude-sonnet-4.6", {}, ("openrouter", "anthropic/claude-sonnet-4.6")),
        ("claude-sonnet-4.6", {"provider": "openrouter"}, ("openrouter", "claude-sonnet-4.6")),
        ("openai:gpt-5", {"provider": "openai"}, ("openai", "gpt-5")),
        ("qwen3:8b", {"provider": "ollama"}, ("ollama", "qwen3:8b")),
        ("qwen3:8b", {"base_url": "http://h/v1"}, (None, "qwen3:8b")),
        ("claude-sonnet-4.6", {"base_url": "http://h/v1"}, (None, "claude-sonnet-4.6")),
        ("claude-sonnet-4.6", {"base_url": "http://h", "provider": "anthropic"}, ("anthropic", "claude-sonnet-4-6")),
    ],
)
def test_whose_a_model_is(model: str, config: dict[str, Any], expected: tuple[str | None, str]) -> None:
    assert expected == provider_and_name(model, LLMConfig(**config))


MONTH = 30 * 86400.0


@pytest.mark.parametrize("model", ["house-blend", "omega", "gptx", ":x", "openai:"])
def test_a_model_that_could_be_anybodys_is_refused(model: str) -> None:
    with pytest.raises(CannotRun, match=r'give "provider:model", or config\.base_url$'):
        provider_and_name(model, LLMConfig())


def test_a_retry_after_is_seconds_or_a_date() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert [2.0, 0.5, None, None, None, None, 0.0] == [
        _seconds(text) for text in ("2", "0.5", "soon", "-1", "nan", None, "Wed, 21 Oct 2015 07:28:00 GMT")
    ]
    assert [None, None] == [_seconds(f"Wed, 21 Oct {year} 07:28:00 {zone}") for year, zone in ((10**10, "GMT"), (2015, "+99999999999"))]
    assert 3590 < (_seconds(in_an_hour) or 0) <= 3600


@pytest.mark.parametrize(
    ("given", "kept"),
    # A month is as good as for ever.
    [(5, 5.0), (0, 0.0), (None, None), (-1, None), (1e17, MONTH), (10**400, MONTH), (float("inf"), None), (float("nan"), None)],
)
def test_a_quota_keeps_a_time_that_can_be(given: float | None, kept: float | None) -> None:
    assert kept == QuotaExceeded("enough", given).retry_after
