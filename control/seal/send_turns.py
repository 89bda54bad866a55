"""One message at a time to each receiver: what waits for one that does not answer holds up no message to another."""

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from thespian.system.transport import SendStatus

# Where both ends send at the same moment, Thespian closes the connection and tries again a moment later.
_BEHIND_AFTER = 1.0


@dataclass(slots=True)
class _Receiver:
    """One that has not acknowledged yet what was sent last."""

    since: float
    """When that was."""
    waiting: deque[Any] = field(default_factory=deque)
    """What comes after it."""


class SendTurns:
    """Hands Thespian an intent to send when the one before it, to the same receiver, has been acknowledged or given up.

    Thespian itself would take them all, and have as many under way as it may have to all receivers together: no message to any other would
    leave until the silent one answers. `submit` hands an intent on.
    """

    def __init__(self, submit: Callable[[Any], None]) -> None:
        self._submit = submit
        self._receivers: dict[Hashable, _Receiver] = {}
        self._closed = False

    def take(self, receiver: Hashable, intent: Any) -> None:
        """Send this after all that was taken before for the same receiver."""
        if found := self._receivers.get(receiver):
            found.waiting.append(intent)
        else:
            self._receivers[receiver] = _Receiver(time.monotonic())
            self._send(receiver, intent)

    def is_behind(self, receiver: Hashable) -> bool:
        """Whether that receiver has not acknowledged for a second what was sent last."""
        found = self._receivers.get(receiver)
        return found is not None and time.monotonic() - found.since > _BEHIND_AFTER

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True

    def _send(self, receiver: Hashable, intent: Any) -> None:
        def done(result: Any, _intent: Any) -> None:
            self._done(receiver, result)

        intent.addCallback(done, done)
        self._submit(intent)

    def _done(self, receiver: Hashable, result: Any) -> None:
        if self._closed:
            return
        waiting = self._receivers[receiver].waiting
        # Where nobody listens any more, nobody will: Thespian fails all of them immediately as well.
        while waiting and (result is SendStatus.DeadTarget or waiting[0].expired()):
            waiting.popleft().tx_done(SendStatus.DeadTarget if result is SendStatus.DeadTarget else SendStatus.Failed)
        if waiting:
            self._receivers[receiver].since = time.monotonic()
            self._send(receiver, waiting.popleft())
        else:
            del self._receivers[receiver]
