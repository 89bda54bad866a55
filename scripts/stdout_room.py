"""Whether stdout takes more: a pipe that nobody reads, or a terminal that somebody stopped (Ctrl-S), would block this whole program."""

import asyncio
import select
import sys


def has_room() -> bool:
    """Whether what is written to stdout now will not wait for a reader."""
    if (descriptor := _stdout()) is None:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


async def room_on_stdout() -> None:
    """Return when stdout takes more."""
    while not has_room():
        descriptor = _stdout()
        assert descriptor is not None  # noqa: S101  (else there is room)
        loop, room = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(descriptor, room.set)
        try:
            await room.wait()
        finally:
            loop.remove_writer(descriptor)


def _stdout() -> int | None:
    """The descriptor of stdout, None where there is none."""
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return None
