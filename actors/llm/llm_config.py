"""What `config` may say to an LLMAgent."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..errors import CannotRun
from ..exits import CauseId


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMConfig:
    """The settings of an LLMAgent; each is a key of its `config`, and none is needed.

    `system_prompt` stands in for the role. `provider` and `base_url` say where the model is, `api_key_env` which environment variable holds
    the key. `temperature` and `max_output_tokens` (of one reply) go to the model. `max_tokens` is what one incarnation may use in all,
    `timeout` how many seconds the model may be silent, `history` how many messages it remembers.
    """

    system_prompt: str | None = None
    provider: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    max_tokens: int | None = None
    timeout: float = 60.0
    history: int = 40


_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_url(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.password is None and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return False


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "system_prompt": (lambda value: isinstance(value, str), "must be a text"),
    "provider": (lambda value: isinstance(value, str) and bool(value), 'must be the name of a provider, such as "anthropic" or "openai"'),
    "base_url": (_is_url, "must begin with http:// or https:// and name a host, without a password"),
    "api_key_env": (
        lambda value: isinstance(value, str) and _VARIABLE.fullmatch(value) is not None,
        "must be the name of an environment variable, and not the key itself",
    ),
    "temperature": (lambda value: _is_number(value) and value >= 0, "must be a number, 0 or more"),
    "max_output_tokens": (lambda value: _is_count(value, 1), "must be a whole number above 0"),
    "max_tokens": (lambda value: _is_count(value, 1), "must be a whole number above 0"),
    "timeout": (lambda value: _is_number(value) and value > 0, "must be a number of seconds above 0"),
    "history": (lambda value: _is_count(value, 0), "must be a whole number, 0 or more"),
}


def read_config(config: Mapping[str, Any]) -> LLMConfig:
    """The settings that a `config` gives; raises CannotRun with every fault of it, and no value: it may be a secret."""
    faults = [f"config.{key}: {_unknown(key)}" for key in config if key not in _RULES]
    faults += [f"config.{key}: {wanted}" for key, (is_good, wanted) in _RULES.items() if key in config and not is_good(config[key])]
    if faults:
        raise CannotRun("; ".join(faults)).because(CauseId.MODEL_CONFIGURATION)
    return LLMConfig(**config)


def _unknown(key: str) -> str:
    if key == "api_key":
        return "keys come from the environment: name the variable that holds it, api_key_env"
    if key == "model":
        return "belongs into the table of the agent: model"
    return f"unknown key (there are {', '.join(_RULES)})"
