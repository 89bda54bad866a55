"""What agents say, as it is shown to people."""

import pytest

from suptree.actors.output.printable import printable


@pytest.mark.parametrize("text", ["plain", "no\u00a0break", "全角\u3000空白", "👩\u200d💻", "\u06a9\u200c\u06a9", "[/red] \\x1b"])
def test_text_is_shown_as_it_is(text: str) -> None:
    assert text == printable(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\nb\tc\0", r"a\r\nb\tc\x00"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2028", r"\u2028"),
        ("\x9b2J", r"\x9b2J"),
    ],
)
def test_nothing_in_it_moves_the_cursor(text: str, shown: str) -> None:
    assert shown == printable(text)


def test_its_colours_are_left_out_and_what_remains_is_no_new_sequence() -> None:
    assert "Error: no key" == printable("\x1b[1;31mError:\x1b[0m no \x1b[38:5:2mkey\x1b[m")
    assert r"\x1b[2J" == printable("\x1b\x1b[31m[2J")
