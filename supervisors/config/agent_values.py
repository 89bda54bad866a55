"""The values in an agent's table that are more than a number or a text: sizes, limits, users, argv lists, paths, exit codes."""

import os
import re
import resource
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from suptree.actors.agent.confinement import CannotConfine, find_account
from suptree.actors.exits import ExitClass
from suptree.actors.spec.agent_spec import Limit, fault_of_variable

from .config_problems import not_one_of, wrong_kind

_SIZE = re.compile(r"(\d{1,15})([KMGT]?)")
_CLASSES_OF_EXITS = tuple(
    exit_class.value for exit_class in (ExitClass.NORMAL, ExitClass.PERMANENT, ExitClass.QUOTA, ExitClass.CRASH, ExitClass.FAILED)
)
"""What a program can mean by an exit status."""


def _size(value: object) -> object:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip().upper())
        if not match:
            raise ValueError(f'must be a number of bytes or a size such as "512M" or "2G" (K, M, G, T), not "{value}"')
        value = int(match[1]) * 1024 ** "KMGT".find(match[2]) * 1024 if match[2] else int(match[1])
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_kind('a number of bytes or a size such as "512M" or "2G"', value)
    if not 0 < value < 2**63:
        raise ValueError(f"must be above 0 bytes and below 2**63, not {value}")
    return value


def _text_of_path(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def has_surrogate(text: str) -> bool:
    """Whether UTF-8 cannot encode it."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    if has_surrogate(text):
        raise ValueError("must be text that UTF-8 can encode: it contains a lone surrogate (U+D800 to U+DFFF)")
    return text


def _variable(name: str) -> str:
    if fault := fault_of_variable(name):
        raise ValueError(fault)
    return name


def _pattern(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_*][A-Za-z0-9_*]*", name):
        raise ValueError('must be the name of an environment variable, or one with * for any characters, such as "AWS_*"')
    return name


def _user(user: str) -> str:
    if not re.fullmatch(r"[^\s:/]+(:[^\s:/]+)?", user):
        raise ValueError('must be "user" or "user:group"')
    try:
        find_account(user)
    except CannotConfine as error:
        raise ValueError(str(error)) from None
    return user


def _umask(value: object) -> object:
    wanted = 'must be octal digits in quotes, such as "0077"'
    if isinstance(value, str):
        if not re.fullmatch(r"[0-7]{1,4}", value):
            raise ValueError(wanted)
        value = int(value, 8)
    elif isinstance(value, bool) or not isinstance(value, int):
        raise wrong_kind('octal digits in quotes, such as "0077"', value)
    elif value in (22, 26, 27, 70, 72, 77):
        raise ValueError(f"{wanted}, or 0o{value}: {value} is a decimal number, and would be 0o{value:o}")
    if not 0 <= value <= 0o777:
        raise ValueError(f"{wanted}, and at most 0777")
    return value


def _limit(value: object, one: Callable[[object], int]) -> Limit:
    soft, colon, hard = value.partition(":") if isinstance(value, str) else (value, "", "")
    limits = one(soft), one(hard if colon else soft)
    if limits[1] != resource.RLIM_INFINITY and not 0 <= limits[0] <= limits[1]:
        raise ValueError(f"must have a soft limit that is not above the hard one, not {value}")
    return limits


def _count(value: object) -> int:
    if value == "infinity":
        return resource.RLIM_INFINITY
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError('must be a whole number, 0 or more, or "infinity", or two of these as "soft:hard"')
    return value


def _bytes(value: object) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip().upper())) and match[2]:
        value = int(match[1]) * 1024 ** ("KMGT".index(match[2]) + 1)
    try:
        return _count(value)
    except ValueError:
        raise ValueError('must be a number of bytes or a size such as "512M", or "infinity", or two of these as "soft:hard"') from None


def _exit_codes(value: object) -> object:
    # A program may give numbers, which TOML keys cannot be.
    return {str(key) if isinstance(key, int) else key: each for key, each in value.items()} if isinstance(value, Mapping) else value


def _exit_code(code: str) -> str:
    if not code.isascii() or not code.isdecimal() or not 0 <= int(code) <= 255:
        raise ValueError("an exit status is a whole number from 0 to 255")
    return str(int(code))


def _class_of_exit(value: object) -> object:
    if value not in _CLASSES_OF_EXITS:
        raise ValueError(not_one_of(value, _CLASSES_OF_EXITS))
    return ExitClass(str(value))


Bytes = Annotated[int, BeforeValidator(_size)]
Text = Annotated[str, AfterValidator(_plain)]
Argv = Annotated[tuple[Text, ...], Field(strict=False)]
PathText = Annotated[Text, BeforeValidator(_text_of_path)]
VariablePattern = Annotated[Text, AfterValidator(_pattern)]
User = Annotated[Text, AfterValidator(_user)]
Umask = Annotated[int, BeforeValidator(_umask)]
LimitOfBytes = Annotated[Limit, BeforeValidator(partial(_limit, one=_bytes))]
LimitOfCount = Annotated[Limit, BeforeValidator(partial(_limit, one=_count))]
Variable = Annotated[Text, AfterValidator(_variable)]
ExitCodes = Annotated[
    dict[Annotated[str, AfterValidator(_exit_code)], Annotated[ExitClass, BeforeValidator(_class_of_exit)]], BeforeValidator(_exit_codes)
]
