"""What a hook or probe has left behind among the children of an actor, where what its program has let go may be among them as well."""

import contextlib
import os
import time
from collections.abc import Collection

from ..kernel.linux import own_children
from ..kernel.process_texts import carries

_LONGEST_LOOK = 0.3
"""Seconds, after which what was not looked at yet lives on, to end with the agent: an agent has as many processes as it likes, and each
as large an environment."""


class LeftBehind:
    """The children that come from one hook: they are in the session that it led, or carry `variable`, with a `value` of its own.

    The second stays when a process leaves the session. `running` are the pids of hooks, which belong to themselves.
    """

    def __init__(self, running: Collection[int], session: int, variable: str, value: str) -> None:
        self._running = running
        self._session = session
        self._variable = variable
        self._value = value
        self._others: set[int] = set()
        self.is_unclear = False
        """Whether one of the others was in the middle of execve(2) at the last look: what it carries is seen a moment later."""

    def others(self) -> list[int]:
        """The children that the hook has not left behind, or that could not be looked at for lack of time."""
        until = time.monotonic() + _LONGEST_LOOK
        self.is_unclear = False
        # What a hook leaves behind is the newest.
        return [pid for pid in reversed(own_children()) if pid in self._running or not self._is_of_it(pid, until)]

    def _is_of_it(self, pid: int, until: float) -> bool:
        if _is_in_session(pid, self._session):
            return True
        if pid in self._others or time.monotonic() >= until:
            return False
        carried: bool | None = False
        with contextlib.suppress(OSError):
            carried = carries(pid, self._variable, self._value)
        if carried is None:
            self.is_unclear = True
        elif not carried:
            self._others.add(pid)
        return bool(carried)


def _is_in_session(pid: int, session: int) -> bool:
    with contextlib.suppress(OSError):
        return os.getsid(pid) == session
    return False
