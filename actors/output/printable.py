"""Text of programs, agents and files as it may be shown: nothing in it moves the cursor, or changes the terminal, of its reader."""

import re
import unicodedata

_COLOUR = re.compile("(\x1b\\[[0-9;:]*m)")
_NO_COLOUR = "\x1b[0m"


def printable(text: str) -> str:
    """A text in which everything but letters, signs and spaces is escaped, line ends too; its colours are left out."""
    return "".join(
        character if _is_shown(character) else character.encode("unicode_escape").decode() for character in without_colours(text)
    )


def without_colours(text: str) -> str:
    """A text without the sequences that give it colours (ECMA-48's SGR)."""
    return _COLOUR.sub("", text)


def printable_lines(text: str) -> str:
    """A text of several lines, each of them printable."""
    return "\n".join(map(printable, text.split("\n")))


def printable_output(line: str) -> str:
    """A line that a program printed: its colours (ECMA-48's SGR) and its tabs stay, and the colours end with it."""
    parts = _COLOUR.split(line)
    # Every second part is a colour.
    shown = "".join(part if place % 2 else "\t".join(map(printable, part.split("\t"))) for place, part in enumerate(parts))
    return shown if len(parts) == 1 else shown.removesuffix(_NO_COLOUR) + _NO_COLOUR


def _is_shown(character: str) -> bool:
    # Python calls no space printable but one, nor what joins letters in Persian, and the parts of an emoji.
    return character.isprintable() or character in "\u200c\u200d" or unicodedata.category(character) == "Zs"
