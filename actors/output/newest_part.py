"""What of a line matters most: where a program writes over it, what stands there last; of a long one the end."""

WIDTH = 500
"""So many bytes of a line are kept in memory."""

_INSIDE_A_CHARACTER = bytes(range(0x80, 0xC0))


def newest(line: bytes) -> bytes:
    """What stands in a line at last, when each carriage return has begun to write over what was before it."""
    return line.rstrip(b"\r").rpartition(b"\r")[2] or line if b"\r" in line else line


def end_of(line: bytes) -> str:
    """The end of what stands in a line at last, as text; no character is cut in two."""
    line = newest(line)
    if len(line) > WIDTH:
        line = line[-WIDTH:]
        line = line[:3].lstrip(_INSIDE_A_CHARACTER) + line[3:]
    return line.decode("utf-8", "replace")
