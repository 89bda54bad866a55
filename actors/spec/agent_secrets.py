"""Which texts in what an agent is given are secret: in its environment, its configuration and its command lines."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..output.redaction import Redactor, is_secret, passwords_in, secret_options
from .agent_spec import AgentSpec
from .env_file import EnvFileRefused, read_env_file

Named = tuple[str, str]
"""Where a secret comes from, and the secret."""

# `api_key: "…"`, `Authorization: Bearer …`, `--token …` inside a longer text, such as a shell line or a header.
_ASSIGNS = re.compile(
    r"""(?<![\w-]) (?:--?(?P<option>[A-Za-z][\w-]*+)(?:=|\s+(?!-)) | (?P<name>[A-Za-z_][\w-]*+)["']?\s*[=:](?:\s+(?!-))?)""",
    re.VERBOSE | re.ASCII,
)
_VALUE = re.compile(r"""["']? (?:(?:Bearer|Basic|Token)\s+)? (?P<value>[\w+/=.~-]{8,})""", re.VERBOSE | re.ASCII | re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def agent_redactor(spec: AgentSpec, base: Mapping[str, str], *from_files: Mapping[str, str]) -> Redactor:
    """What hides the secrets of an agent; `base` is its environment before its own table, `from_files` what its `env_from` held."""
    named = [*_in_configuration(spec.config), *_in_commands(spec)]
    for variables in from_files:
        named += variables.items()
    from_file = from_files[-1] if from_files else {}
    for variables in (base, spec.inherited, *from_files, spec.env):
        named += [(name, variables[name]) for name in _named_variables(spec.config) if name in variables]
    return Redactor({**spec.inherited, **from_file, **spec.env}, base, named)


def has_secrets(spec: AgentSpec) -> bool:
    """Whether its table gives it any: a file of them, or a variable, an option or a text that looks like one."""
    given = any(map(is_secret, (*spec.env, *spec.inherited))) or any(True for value in spec.env.values() for _ in passwords_in(value))
    return spec.env_from is not None or given or any(True for _ in _in_commands(spec))


def variables_in_file(spec: AgentSpec) -> dict[str, str]:
    """What the `env_from` of an agent holds now; nothing when it has none, or one that cannot be read: that is for its actor to say."""
    with contextlib.suppress(EnvFileRefused):
        return read_env_file(spec.env_from) if spec.env_from is not None else {}
    return {}


def _named_variables(config: Mapping[str, Any]) -> list[str]:
    """The variables that a configuration says hold secrets, whatever their names: `api_key_env = "HOUSE"`."""
    return [value for key, value in config.items() if _names_a_variable(key, value)]


def _names_a_variable(key: str, value: Any) -> bool:
    # Some put the key itself there.
    return key.lower().endswith("_env") and is_secret(key) and isinstance(value, str) and _VARIABLE.fullmatch(value) is not None


def _in_configuration(value: Any, name: str = "", *, secret: bool = False) -> Iterator[Named]:
    if isinstance(value, Mapping):
        for key, deeper in value.items():
            if secret or not _names_a_variable(str(key), deeper):
                yield from _in_configuration(deeper, str(key), secret=secret or is_secret(str(key)))
    elif isinstance(value, list | tuple):
        for deeper in value:
            yield from _in_configuration(deeper, name, secret=secret)
    elif isinstance(value, str):
        yield from [(name, value)] if secret else _in_text(value, name)


def _in_commands(spec: AgentSpec) -> Iterator[Named]:
    probe = spec.liveness_probe
    for arguments in (spec.args, spec.hooks.pre_stop, spec.hooks.post_exit, probe.exec):
        yield from _in_arguments(arguments)
    yield from _in_text(probe.http_get or "", "http_get")


def _in_arguments(arguments: Sequence[str]) -> Iterator[Named]:
    yield from secret_options(arguments)
    for argument in arguments:
        yield from _in_text(argument, "argument")


def _in_text(text: str, name: str) -> Iterator[Named]:
    """What looks like a secret there: it is assigned to a name that says so, and has letters and digits, as no word of a program has."""
    for password in passwords_in(text):
        yield name, password
    place = 0
    while found := _ASSIGNS.search(text, place):
        # That of a plain name may assign itself: `--env=API_KEY=…`, `--header=Authorization: …`.
        place, where = found.end(), found["option"] or found["name"]
        if is_secret(where) and (assigned := _VALUE.match(text, place)):
            place, value = assigned.end(), assigned["value"]
            if re.search(r"\d", value) and re.search(r"[A-Za-z]", value):
                yield where, value
