"""What was written to a log past us holds no secret once it was looked at."""

from pathlib import Path

import pytest

from suptree.actors.output import raw_output
from suptree.actors.output.raw_output import RawOutput, look_at_end
from suptree.actors.output.redaction import Redactor

REDACTOR = Redactor({"A_KEY": "abcdefgh", "B_KEY": "ABCDEF"}, {})


@pytest.mark.parametrize("block", [1, 3, 8, 1000])
def test_a_secret_is_overwritten_wherever_the_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(raw_output, "_BLOCK", block)
    path = tmp_path / "log"
    path.write_bytes(b"x abcdefgh y\nABCDEFabcdefg")
    with path.open("ab", buffering=0) as writer:
        raw = RawOutput(path, REDACTOR, 0)
        raw.look()
        assert b"x ******** y\n******abcdefg" == path.read_bytes()
        writer.write(b"h z abcde")
        raw.look()
        writer.write(b"fgh")
        raw.close()
    assert b"x ******** y\n************** z ********" == path.read_bytes()


def test_what_was_there_before_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abcdefgh" * 2)
    RawOutput(path, REDACTOR, 16).close()
    assert b"abcdefgh" * 2 == path.read_bytes()


def test_the_end_of_a_file_is_looked_at_and_a_file_that_is_gone_is_none(tmp_path: Path) -> None:
    look_at_end(tmp_path / "gone", REDACTOR)
    (tmp_path / "log").write_bytes(b"no newline abcdefgh")
    look_at_end(tmp_path / "log", REDACTOR)
    assert b"no newline ********" == (tmp_path / "log").read_bytes()


def test_it_knows_its_file_from_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    raw = RawOutput(path, REDACTOR, 0)
    with path.open("ab") as same:
        path.replace(tmp_path / "log.1")
        with path.open("ab") as following:
            assert (True, False) == (raw.reads(same.fileno()), raw.reads(following.fileno()))
