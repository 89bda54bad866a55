"""What a program has as stdin, stdout and stderr: pipes, or one terminal."""

import fcntl
import os
import termios
from dataclasses import dataclass

from ..spec.agent_spec import Stdin

_ROWS_AND_COLUMNS = (24, 80)


@dataclass(frozen=True, slots=True)
class ProgramStreams:
    """Both ends of everything: the program's three descriptors, what we read from (each with its name in the log), and what we write to."""

    stdin: int
    stdout: int
    stderr: int
    outputs: tuple[tuple[int, str], ...]
    input: int | None = None
    is_terminal: bool = False

    @property
    def made(self) -> set[int]:
        """Those of the program's descriptors that were made for it."""
        return {self.stdout, self.stderr} | ({self.stdin} if self.input is not None else set())

    def become_terminal(self) -> None:
        """In the new process: let its terminal, if it has one, control its session, which must have none yet."""
        if self.is_terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def close_program_ends(self) -> None:
        """The program has its own now."""
        for descriptor in {self.stdin, self.stdout, self.stderr}:
            os.close(descriptor)

    def close_our_ends(self) -> None:
        """There is no program."""
        for descriptor in (*(output for output, _ in self.outputs), *(() if self.input is None else (self.input,))):
            os.close(descriptor)


def open_streams(stdin: Stdin) -> ProgramStreams:
    """New descriptors for one program."""
    if stdin is Stdin.PTY:
        return _terminal()
    (out, stdout), (err, stderr) = os.pipe(), os.pipe()
    source, sink = os.pipe() if stdin is Stdin.PIPE else (os.open(os.devnull, os.O_RDONLY), None)
    return ProgramStreams(source, stdout, stderr, ((out, "out"), (err, "err")), sink)


def _terminal() -> ProgramStreams:
    # Not ptyprocess: it forks, execs and waits by itself, but it is asyncio that starts and waits for our programs.
    ours, its = os.openpty()
    termios.tcsetwinsize(its, _ROWS_AND_COLUMNS)
    attributes = termios.tcgetattr(its)
    # A line ends with a newline, as through a pipe, without a carriage return before it.
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(its, termios.TCSANOW, attributes)
    # Read and written by one transport each, which closes its own.
    return ProgramStreams(its, its, its, ((ours, "out"),), os.dup(ours), is_terminal=True)
