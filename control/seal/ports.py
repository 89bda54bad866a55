"""A port for a new process of the tree, also when all are taken for a while."""

import errno
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

_AGAIN = 0.1


def with_a_port(listen: Callable[[], None], *, try_for: float) -> None:
    """Call `listen`, again and again for so many seconds while it raises that no port is free. Raises OSError, as `listen` does.

    Any user of the machine can take every port that the kernel gives out. If the new process ended over that without delay, a few restarts
    would use up what the supervisors allow, and end the tree.
    """
    until, waits = time.monotonic() + try_for, False
    while True:
        try:
            return listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise
        if not waits:
            waits = True
            log.warning("no_port_is_free", limit=try_for)
        time.sleep(_AGAIN)
