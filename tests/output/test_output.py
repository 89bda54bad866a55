"""What a program prints is kept line by line, whatever it is and however it arrives."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suptree.actors.output import line_splitter, output_log
from suptree.actors.output.line_splitter import LineSplitter
from suptree.actors.output.output_log import OutputLog, rotated_path

MIB = 1024 * 1024
TOO_LONG = b"[cut: the line is longer than 16 MiB] "
KEY = re.compile(rb"key-[a-z0-9]+")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def kept(path: Path, stream: str) -> list[bytes]:
    """The lines of one stream, without what stands before them."""
    entries = [entry.split(b" ", 3) for entry in path.read_bytes().split(b"\n")[:-1]]
    assert all(re.fullmatch(rb"\S+Z #7 (out|err)", b" ".join(entry[:3])) for entry in entries)
    return [entry[3] for entry in entries if entry[2] == stream.encode()]


def feed(log: OutputLog, *pieces: bytes) -> None:
    splitter = LineSplitter(log, "out")
    for piece in pieces:
        splitter.feed(piece)
    splitter.close()


def blank(text: bytes) -> bytes:
    return KEY.sub(b"***", text)


@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"a", b"\n")), max_size=20))
def test_lines_are_the_same_however_they_arrive(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("logs") / "a.log"
    feed(OutputLog(path, 7), *pieces)
    expected = b"".join(pieces).split(b"\n")
    assert (expected if expected[-1] else expected[:-1]) == kept(path, "out")


@given(
    st.lists(st.tuples(st.sampled_from(["out", "err"]), st.binary(max_size=60).map(lambda data: data.replace(b"a", b"\n"))), max_size=30)
)
def test_long_lines_of_both_streams_stay_whole(tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, bytes]]) -> None:
    path = tmp_path_factory.mktemp("logs") / "a.log"
    log = OutputLog(path, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_splitter, "_PIECE", 16)
        patch.setattr(line_splitter, "_OVERLAP", 8)
        splitters = {stream: LineSplitter(log, stream) for stream in ("out", "err")}
        for stream, piece in pieces:
            splitters[stream].feed(piece)
        for splitter in splitters.values():
            splitter.close()
    for stream in splitters:
        expected = b"".join(piece for of, piece in pieces if of == stream).split(b"\n")
        assert (expected if expected[-1] else expected[:-1]) == kept(path, stream)


def texts(log: OutputLog, source: str) -> list[str]:
    """The last lines of a source, as they are kept in memory."""
    return [said.text for said in log.tails[source]]


def test_a_line_of_16_mib_is_kept_whole_and_of_a_longer_one_the_newest_part_after_a_mark(path: Path) -> None:
    log = OutputLog(path, 7)
    feed(log, *[b"x" * MIB] * 16, b"\nnext\n")
    assert [b"next"] == kept(path, "out")
    assert [b"x" * 16 * MIB] == kept(rotated_path(path), "out")
    feed(log, *[b"y" * MIB] * 100, b"FATAL\nlast\n")
    assert [b"last"] == kept(path, "out")
    assert [TOO_LONG + b"y" * (16 * MIB - 5) + b"FATAL"] == kept(rotated_path(path), "out")
    assert ["x" * 500, "next", "y" * 495 + "FATAL", "last"] == texts(log, "out")


def test_bytes_that_are_no_text_are_kept_as_they_are(path: Path) -> None:
    log = OutputLog(path, 7)
    feed(log, b"\xff\xfe\x00\n\x00\n\r\n")
    assert [b"\xff\xfe\x00", b"\x00", b"\r"] == kept(path, "out")
    assert ["\ufffd\ufffd\x00", "\x00", "\r"] == texts(log, "out")


def test_what_is_kept_has_been_cleaned(path: Path) -> None:
    log = OutputLog(path, 7)
    log.clean = blank
    feed(log, b"a key-1\nb ke", b"y-2\nc key-3")
    log.write("err", b"d key-4")
    assert ([b"a ***", b"b ***", b"c ***"], [b"d ***"]) == (kept(path, "out"), kept(path, "err"))
    assert (["a ***", "b ***", "c ***"], "d ***") == (texts(log, "out"), texts(log, "err")[-1])


@pytest.mark.parametrize("chunk", [1000, 65536])
def test_no_secret_in_a_long_line_is_cut_in_two(path: Path, chunk: int) -> None:
    log = OutputLog(path, 7)
    log.clean = blank
    line = b"".join(b"." * (number % 7000) + b"key-" + b"s" * (number % 3000) + b"0/" for number in range(0, 100_000, 97))
    feed(log, *(line[start : start + chunk] for start in range(0, len(line), chunk)), b"\n")
    assert [blank(line)] == kept(path, "out")


def test_a_full_disk_harms_no_agent_and_the_log_says_how_much_is_missing(path: Path) -> None:
    path.symlink_to("/dev/full")
    log = OutputLog(path, 7)
    feed(log, b"lost\n", b"z" * MIB, b"\n")
    path.unlink()
    feed(log, b"kept\n")
    entries = len("2026-11-27T00:10:42.000Z #7 out ") * 2 + len(b"lost\n") + MIB + len(b"\n")
    missing = b"[suptree] %d bytes of output before this are missing: No space left on device" % entries
    assert ([missing], [b"kept"], entries) == (kept(path, "err"), kept(path, "out"), log.lost)


def test_a_descriptor_follows_the_file_through_its_rotation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_log, "_ROTATE_AT", 1)
    log = OutputLog(path, 7)
    log.write("out", b"before")
    with (path.parent / "elsewhere").open("wb") as elsewhere:
        log.redirect(elsewhere.fileno())
        log.write("out", b"after")
        subprocess.run(["echo", "from a child"], stdout=elsewhere, check=True)
    assert path.read_bytes().endswith(b" after\nfrom a child\n")
