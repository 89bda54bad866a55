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
