"""What of a line a program has written over."""

import pytest

from suptree.actors.output.newest_part import end_of, newest


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"plain", b"plain"),
        (b"1%\r50%\r100%", b"100%"),
        (b"1%\r100%\r", b"100%"),
        (b"\r", b"\r"),
        # What readline of Node writes before each state of a bar.
        (b"\x1b[2K\x1b[1G4%\x1b[2K\x1b[1G100%", b"100%"),
        (b"\x1b[G1%\x1b[0G100%\x1b[G", b"100%"),
        (b"\x1b[32mgreen\x1b[0m", b"\x1b[32mgreen\x1b[0m"),
        (b"column\x1b[12Ghere", b"column\x1b[12Ghere"),
    ],
)
def test_the_newest_part_is_kept(line: bytes, shown: bytes) -> None:
    assert shown == newest(line)
    assert shown.decode() == end_of(line)
