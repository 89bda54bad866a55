"""What signals mean to a launcher, whatever they meant to the program that started it.

| signal | what it does |
|---|---|
| SIGTERM | stops the tree in order; a second one ends the grace of what still stops |
| SIGRTMIN+3 | the same, from the program that started the launcher (systemd as process 1 stops at this signal, too) |
| SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM and all others that would end a process | nothing |
| the signals of a fault (SIGSEGV, SIGABRT, …), SIGKILL | the launcher ends, and its tree with it |
"""

import contextlib
import signal
from collections.abc import Iterator

_MEAN_NOTHING = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
    signal.SIGIO, signal.SIGPWR, signal.SIGSTKFLT, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)  # fmt: skip
STARTER_ASKS = signal.SIGRTMIN + 3
"""How the program that started a launcher asks it to stop its tree: SIGTERM may come to both of them together."""
STOPS = (signal.SIGTERM, STARTER_ASKS)
"""What is kept for a launcher until it has a handler."""

_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


def begin_signals() -> None:
    """Forget what was ignored or blocked when this process was started (signal(7): both survive an exec), but keep `STOPS` for later."""
    for number in signal.valid_signals() - {*_PYTHON_IGNORES}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in {*_MEAN_NOTHING} - {*STOPS}:
        # Handled, not ignored: what is ignored stays so in the programs that are executed.
        signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, STOPS)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """What is forked meanwhile hears none of these signals until it wants to: Thespian's admin and logger never do."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_MEAN_NOTHING, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nothing(_number: int, _frame: object) -> None:
    pass
