"""What an actor and a client that is attached to its program say to each other, over the socket that they share."""

import os
import socket
import struct
from collections.abc import Iterator
from enum import IntEnum

LONGEST = 4 * 1024 * 1024
_HEADER = struct.Struct("!BI")
_FIRST = struct.Struct("!I?")


class Word(IntEnum):
    """What a frame says. Of the client: PRINTED, OUTPUT_ENDED, END_INPUT; of the actor: INPUT_ENDED, GOES_ON."""

    PRINTED = 1
    """The program printed the bytes of this frame; the log is to have them."""
    OUTPUT_ENDED = 2
    """The client has read the output of the program to its end."""
    END_INPUT = 3
    """The program is to read the end of its input."""
    INPUT_ENDED = 4
    """The program takes nothing more, or is not to get more."""
    GOES_ON = 5
    """The program has closed its output, and goes on."""


def frame(word: Word, data: bytes = b"") -> bytes:
    """One frame."""
    return _HEADER.pack(word, len(data)) + data


class Frames:
    """Cuts what comes into frames, of at most LONGEST bytes each."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def of(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that are complete with these bytes: the word of each, which may be one that we do not know, and its bytes.

        Raises ValueError for one that is too long.
        """
        self._begun += data
        while len(self._begun) >= _HEADER.size:
            word, size = _HEADER.unpack_from(self._begun)
            if size > LONGEST:
                raise ValueError("a frame is too long")
            end = _HEADER.size + size
            if len(self._begun) < end:
                return
            said = bytes(self._begun[_HEADER.size : end])
            del self._begun[:end]
            yield word, said


def send_ends(connection: socket.socket, ends: list[int], before: bytes, *, in_line: bool) -> None:
    """Hand a client our ends of a program's stdin and stdout, and what the program printed before. Raises OSError.

    `in_line`: the program has begun a line, of which the client is not to have the rest.
    """
    socket.send_fds(connection, [_FIRST.pack(len(before), in_line)], ends)
    connection.sendall(before)


def receive_ends(connection: socket.socket) -> tuple[int, int, bytes, bool]:
    """What `send_ends` sent. Raises EOFError when the other end is gone, OSError."""
    first, descriptors, _flags, _address = socket.recv_fds(connection, _FIRST.size, 2)
    for descriptor in descriptors:
        # Else every program that the client starts without closing descriptors would hold the input of this one open.
        os.set_inheritable(descriptor, False)
    if len(first) < _FIRST.size or len(descriptors) != 2:
        raise EOFError
    size, in_line = _FIRST.unpack(first)
    before = b""
    while len(before) < size:
        if not (more := connection.recv(size - len(before))):
            raise EOFError
        before += more
    return descriptors[0], descriptors[1], before, in_line
