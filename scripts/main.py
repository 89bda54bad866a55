"""The entry point `suptree`: small, so that Ctrl-C while the rest is loaded is heard."""

import signal
import sys

from .interrupts import interrupted, leave_at_sigterm_as_process_1, leaving_at_interrupt
from .streams import prepare_streams


def main() -> None:
    """Run the command line."""
    try:
        _forget_blocked_signals()
        leave_at_sigterm_as_process_1()
        prepare_streams()
        with leaving_at_interrupt():
            from .command_line import main as command_line  # noqa: PLC0415  (it takes 0.4 s)

        command_line()
    except KeyboardInterrupt:
        sys.exit(interrupted())


def _forget_blocked_signals() -> None:
    """What the starter of this process blocked, or did with SIGCHLD, is no business of ours (signal(7): both survive an exec)."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT} & signal.pthread_sigmask(signal.SIG_BLOCK, ()))


if __name__ == "__main__":
    main()
