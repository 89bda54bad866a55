"""The output streams of the command line, which take any text; this module is small, because the entry point needs it first."""

import os
import sys
from pathlib import Path
from typing import TextIO


def prepare_streams() -> None:
    """Have standard output and standard error escape what their encoding cannot say; one that is closed takes everything and keeps nothing.

    Without this a command would end with a traceback in a locale that does not know the letters of an agent, or when its output is
    closed (`>&-`).
    """
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)


def _prepared(stream: TextIO | None) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")  # open until the end
    stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]  # a TextIOWrapper, as Python begins
    return stream
