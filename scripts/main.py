"""The entry point `suptree`: small, so that Ctrl-C while the rest is loaded is heard."""

import sys

from .interrupts import interrupted, leaving_at_interrupt
from .streams import prepare_streams


def main() -> None:
    """Run the command line."""
    try:
        prepare_streams()
        with leaving_at_interrupt():
            from .command_line import main as command_line  # noqa: PLC0415  (it takes 0.4 s)

        command_line()
    except KeyboardInterrupt:
        sys.exit(interrupted())


if __name__ == "__main__":
    main()
