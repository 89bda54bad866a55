"""The entry point `suptree`: small, so that Ctrl-C while the rest is loaded has somebody who hears it."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    """Run the command line."""
    try:
        _open_closed_streams()
        with _leaving_at_interrupt():
            from .command_line import main as command_line  # noqa: PLC0415  (it takes 0.4 s)

        command_line()
    except KeyboardInterrupt:
        sys.exit(interrupted())


@contextlib.contextmanager
def _leaving_at_interrupt() -> Iterator[None]:
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
    # Who started us may have kept a Ctrl-C back until somebody could hear it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    yield
    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted() -> int:
    """Say that Ctrl-C came when nothing ran; return the exit status: 0 for what would have run until Ctrl-C, else a shell's 130."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
    command, *arguments = sys.argv[1:] or [""]
    if command not in ("demo", "up"):
        return 130
    print(f"{command}: interrupted, 0 processes left")
    return 130 if {"-d", "--detach"} & {*arguments} else 0


def _open_closed_streams() -> None:
    """Without this, a command whose output was closed (`>&-`) would have none to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  (open until the end)


if __name__ == "__main__":
    main()
