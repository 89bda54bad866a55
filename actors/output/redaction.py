"""Keeping secrets out of whatever is written down or shown: which variables hold them, and how their values are hidden in text."""

import contextlib
import json
import logging
import re
import traceback
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

SHORTEST_SECRET = 6
"""In bytes: a shorter value would be found in half of all words."""

SECRET_NAMES = (
    r"KEYS?(?![A-Z])",
    r"(?<!MAX_)TOKENS?(?![A-Z])",
    r"SECRET",
    r"PASSWORD",
    r"PASSWD",
    r"PASSPHRASE",
    r"(?<![A-Z])(PASS|PWD|PAT|PIN|SID|JWT|DSN|SALT|OTP|PEM)(?![A-Z])",
    r"CREDENTIAL",
    r"AUTH(?!OR(?!I))",
    r"COOKIE",
    r"PRIVATE",
    r"SESSION_?ID",
    r"SIGNATURE",
    r"WEBHOOK",
    r"CONNECTION_STRING",
)
"""A variable holds a secret when one of these is found in its name, in capitals."""

PLAIN_NAMES = (
    r"PATH", r"LANG", r"LANGUAGE", r"LC_[A-Z]+", r"HOME", r"TERM", r"COLORTERM", r"TZ", r"USER", r"LOGNAME", r"SHELL", r"SHLVL", r"PWD",
    r"OLDPWD", r"TMPDIR", r"TMP", r"TEMP", r"HOSTNAME", r"EDITOR", r"PAGER", r"DISPLAY", r"NO_COLOR", r"DEBUG", r"LOG_LEVEL", r"COLUMNS",
    r"LINES", r"PYTHON[A-Z]+", r"VIRTUAL_ENV", r"NODE_ENV", r"XDG_[A-Z_]+", r"SUPTREE_[A-Z_]+", r"XAUTHORITY",
    r"NOTIFY_SOCKET", r"WATCHDOG_USEC", r"TRACEPARENT", r"\w+_(FILE|DIR|SOCK)",
)  # fmt: skip
"""A variable of such a name holds none, whatever else its name contains."""

_SECRET = re.compile("|".join(SECRET_NAMES))
_PLAIN = re.compile("|".join(PLAIN_NAMES))
# The password of `postgres://user:password@host`.
_PASSWORD_IN_URL = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_OPTION = re.compile(r"(--?[A-Za-z][\w-]*|[A-Za-z_]\w*)(=.*)?", re.DOTALL)

_HIDDEN = "[redacted]"
_FEW = 50


def is_plain(name: str) -> bool:
    """Whether a variable of that name is known to hold no secret."""
    return _PLAIN.fullmatch(name.upper()) is not None


def is_secret(name: str) -> bool:
    """Whether a variable (or an option of a command) of that name holds a secret."""
    name = name.upper().replace("-", "_")
    return not is_plain(name) and _SECRET.search(name) is not None


def passwords_in(text: str) -> list[str]:
    """The passwords in addresses such as `postgres://user:password@host`."""
    return [found[1] for found in _PASSWORD_IN_URL.finditer(text)]


def secrets_in(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every secret of an environment, after the name of the variable that holds it."""
    for name, value in environment.items():
        if is_secret(name):
            yield name, value
        for password in passwords_in(value):
            yield name, password


def secret_options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What options and assignments of a command line are given whose names are secret: `--api-key VALUE`, `TOKEN=VALUE`."""
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue="-"):
        option = _OPTION.fullmatch(argument)
        if option is None or not is_secret(option[1].lstrip("-")):
            continue
        if option[2] is not None:
            yield option[1].lstrip("-"), option[2][1:]
        elif argument.startswith("-") and not following.startswith("-"):
            yield argument.lstrip("-"), following


def _forms_of(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Every text that must not be shown, and its name: secrets, each line of one that has several, and what both look like elsewhere."""
    found: dict[str, str] = {}
    for name, secret in named:
        for text in (secret, *secret.splitlines()):
            if len(_bytes(text)) >= SHORTEST_SECRET and text.strip():
                found.update({form: name for form in (text, *_disguises(text)) if form not in found and "\n" not in form})
    return found


def _disguises(text: str) -> tuple[str, ...]:
    """In JSON, in Python's `repr`, in a URL."""
    in_url = (urllib.parse.quote(_bytes(text), safe=safe) for safe in ("", "/"))
    return json.dumps(text)[1:-1], repr(text)[1:-1], *in_url, urllib.parse.quote_plus(_bytes(text))


class Redactor:
    """Hides the secrets of an environment: `own` is what an agent's spec gives, `inherited` what was there before.

    `named` are further secrets, each after the name that stands in its place.
    """

    def __init__(self, own: Mapping[str, str], inherited: Mapping[str, str], named: Iterable[tuple[str, str]] = ()) -> None:
        self._own = own
        self._environment = {**inherited, **own}
        # A value that the spec replaces is still a secret.
        secrets = _forms_of([*secrets_in(own), *secrets_in(inherited), *named])
        self._names = {_bytes(text): f"[redacted {name}]".encode() for text, name in secrets.items()}
        self._pattern = _pattern(tuple(sorted(self._names, key=lambda text: (-len(text), text))))

    @property
    def longest(self) -> int:
        """The length of the longest secret in bytes; a reader that hides secrets in a stream, piece by piece, keeps back one byte less."""
        return max(map(len, self._names), default=0)

    def line(self, line: bytes) -> bytes:
        """The line with `[redacted NAME]` wherever a secret stood; free of cost where there are no secrets.

        It may be several lines, and is then as many afterwards.
        """
        # To look for each by itself is many times as fast as the pattern, unless there are very many; mostly none is there.
        if self._pattern is None or (len(self._names) <= _FEW and not any(secret in line for secret in self._names)):
            return line
        return self._pattern.sub(lambda found: self._names[found[0]], line)

    def places(self, data: bytes) -> list[tuple[int, int]]:
        """Where secrets stand in some bytes: position and length."""
        return [] if self._pattern is None else [(found.start(), len(found[0])) for found in self._pattern.finditer(data)]

    def safe_end(self, data: bytes) -> int:
        """Where some bytes may be cut off, so that no secret is cut in two whatever comes next; behind that one may have begun."""
        end = len(data)
        for secret in self._names:
            place = data.find(secret[:1], max(0, len(data) - len(secret) + 1), end)
            while place >= 0 and not secret.startswith(data[place:]):
                place = data.find(secret[:1], place + 1, end)
            end = place if place >= 0 else end
        for place, length in self.places(data) if end < len(data) else ():
            if place < end < place + length:
                return place
        return end

    def text(self, text: str) -> str:
        """The same of a text; what UTF-8 cannot express, such as half of a surrogate pair, is escaped."""
        return self.line(_bytes(text)).decode("utf-8", "backslashreplace")

    def command(self, arguments: Sequence[str]) -> list[str]:
        """A command line without secrets: neither those of the environment, nor what options such as `--api-key` are given."""
        shown: list[str] = []
        hide_next = False
        for argument in arguments:
            option = _OPTION.fullmatch(argument)
            names_secret = option is not None and is_secret(option[1].lstrip("-"))
            if hide_next and not argument.startswith("-"):
                shown.append(_HIDDEN)
            elif option is not None and names_secret and option[2] is not None:
                shown.append(f"{option[1]}={_HIDDEN}")
            else:
                shown.append(self.text(argument))
            hide_next = names_secret and argument.startswith("-") and "=" not in argument
        return shown

    def environment(self) -> dict[str, str]:
        """The environment, to be shown: without secrets, and of the values that the spec gives only those known to be plain."""
        return {name: self._shown(name, value) for name, value in sorted(self._environment.items())}

    def _shown(self, name: str, value: str) -> str:
        hidden = is_secret(name) or (name in self._own and not is_plain(name))
        return _HIDDEN if hidden and value else self.text(value)


def redact_logging(redactor: Redactor) -> None:
    """Let no record of the standard library's logging hold a secret from here on, wherever its handlers send it."""
    make = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        # A message that does not fit its arguments is for logging to complain about.
        with contextlib.suppress(Exception):
            record.msg, record.args = redactor.text(record.getMessage()), None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redactor.text("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return record

    logging.setLogRecordFactory(made)


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate, as JSON may hold one
        return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=256)
def _pattern(secrets: tuple[bytes, ...]) -> "re.Pattern[bytes] | None":
    """Finds the longest first, so that of two that begin alike none is left in part. A supervisor's children often share them."""
    return re.compile(b"|".join(map(re.escape, secrets))) if secrets else None
