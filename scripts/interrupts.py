"""What Ctrl-C does while the command line begins; this module is small, because the entry point needs it first."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def leaving_at_interrupt() -> Iterator[None]:
    """Leave at Ctrl-C: while modules are loaded, Python may drop a KeyboardInterrupt."""

    def leave(*_signal: object) -> None:
        status = interrupted()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(status)

    # It may be ignored, as for what runs in the background of a script.
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, leave)
    # The program that started us may have blocked SIGINT until there was a handler.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    yield
    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_at_sigterm_as_process_1() -> None:
    """In a container, hear SIGTERM from the beginning: the kernel keeps from process 1 what that does not handle (pid_namespaces(7))."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))


def interrupted() -> int:
    """Say that Ctrl-C came when nothing ran; return the exit status: 0 for what would have run until Ctrl-C, else a shell's 130."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough
    command, *arguments = sys.argv[1:] or [""]
    if command not in ("demo", "up"):
        return 130
    print(f"{command}: interrupted, 0 processes left")
    return 130 if {"-d", "--detach"} & {*arguments} else 0
