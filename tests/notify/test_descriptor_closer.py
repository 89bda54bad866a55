"""Closing descriptors in a thread: that many wait is one thing, that a close does not return another."""

import os
import socket
import struct

from suptree.actors.notify.descriptor_closer import MOST_WAITING, STUCK_AFTER, DescriptorCloser
from tests.polling import poll_until

_LINGER_FOR = struct.pack("ii", 1, 2**31 - 1)


def devices(count: int) -> list[int]:
    return [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]


def lingering() -> tuple[int, socket.socket]:
    """A descriptor whose close waits until the other end is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1 << 20))
    except BlockingIOError:
        pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR)
    return sender.detach(), receiver


def test_many_descriptors_are_closed_and_are_never_called_stuck() -> None:
    closer = DescriptorCloser()
    given = devices(2 * MOST_WAITING)
    closer.close(given)
    stuck = closer.is_stuck()
    poll_until(lambda: not closer.is_full and not any(os.path.exists(f"/proc/self/fd/{each}") for each in given), 30)  # noqa: PTH110
    assert [False] * (STUCK_AFTER + 2) == [stuck, *(closer.is_stuck() for _ in range(STUCK_AFTER + 1))]


def test_one_close_that_does_not_return_is_called_stuck_after_some_looks_and_all_are_closed_in_the_end() -> None:
    closer = DescriptorCloser()
    waits, receiver = lingering()
    # The close of the first has begun when its descriptor is gone from the table.
    closer.close([waits])
    poll_until(lambda: not os.path.exists(f"/proc/self/fd/{waits}"), 30)  # noqa: PTH110
    closer.close(devices(MOST_WAITING - 2))
    assert (False, False) == (closer.is_full, closer.is_stuck())
    closer.close(devices(1))
    assert [False] * (STUCK_AFTER - 1) + [True] == [closer.is_stuck() for _ in range(STUCK_AFTER)]
    receiver.close()
    poll_until(lambda: not closer.is_full, 30)
    assert not closer.is_stuck()
