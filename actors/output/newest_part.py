"""What of a line matters most: where a program writes over it, what stands there last; of a long one the end."""

import re

BEGINS_AGAIN = rb"\r|\x1b\[[01]?G|\x1b\[2K"
"""What has a program write over what stands in its line: a carriage return, or a terminal's words for that and for an empty line."""
WIDTH = 500
"""So many bytes of a line are kept in memory."""

_INSIDE_A_CHARACTER = bytes(range(0x80, 0xC0))


_BEGINS_AGAIN = re.compile(BEGINS_AGAIN)


def newest(line: bytes) -> bytes:
    """What stands in a line at last, when each carriage return (`BEGINS_AGAIN`) has begun to write over what was before it."""
    return next(filter(None, reversed(_BEGINS_AGAIN.split(line))), line)


def end_of(line: bytes) -> str:
    """The end of what stands in a line at last, as text; no character is cut in two."""
    line = newest(line)
    if len(line) > WIDTH:
        line = line[-WIDTH:]
        line = line[:3].lstrip(_INSIDE_A_CHARACTER) + line[3:]
    return line.decode("utf-8", "replace")
