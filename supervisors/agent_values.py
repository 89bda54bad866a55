"""The values in an agent's table that are more than a number or a text: sizes, argv lists, paths, exit codes."""

import os
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from suptree.actors.exits import ExitClass

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
    if not name or "=" in name:
        raise ValueError("the name of an environment variable is not empty and has no = in it")
    return name


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
Variable = Annotated[Text, AfterValidator(_variable)]
ExitCodes = Annotated[
    dict[Annotated[str, AfterValidator(_exit_code)], Annotated[ExitClass, BeforeValidator(_class_of_exit)]], BeforeValidator(_exit_codes)
]
