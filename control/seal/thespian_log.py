"""What Thespian says of itself goes to our log. Its own file it would open by a path, where somebody else may have put a link or a pipe."""

import logging
import sys
import time
from typing import Any

import structlog
from thespian.system import utilis

log = structlog.get_logger()

_AGAIN_AFTER = 60.0
"""Seconds after which the same is said again: Thespian may say it for each message."""
_MOST_TEXTS = 100
_said: dict[str, float] = {}


def hear_thespian() -> None:
    """From now on no process of this one's descent writes a log of Thespian's own."""
    for name, module in sys.modules.items():
        if name.startswith("thespian.") and "thesplog" in vars(module):
            vars(module)["thesplog"] = say
    # A module that is not loaded yet takes it from there.
    utilis.thesplog_control(baseLevel=logging.CRITICAL + 1, useLogging=False, tmpFileMaxSize=0)


def say(message: str, *_values: Any, level: int = logging.INFO, **_more: Any) -> None:
    """In place of Thespian's `thesplog`: what it warns of is logged, each text once a minute.

    Not with the values that belong into the text: one may be a message between actors, with what a client said to an agent. And not as a
    warning: that an actor which has ended is not reached is as it should be.
    """
    now = time.monotonic()
    if level >= logging.WARNING and now >= _said.get(message, now):
        if len(_said) > _MOST_TEXTS:
            _said.clear()
        _said[message] = now + _AGAIN_AFTER
        log.info("thespian", said=message)
