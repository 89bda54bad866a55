"""The stream that everything of ours logs to never raises and never waits."""

import json
import os
from pathlib import Path

from suptree.actors.base.log_sink import log_stream_on

from ..full_disk import fill, needs_root, small_disk


@needs_root
def test_what_a_full_disk_refuses_is_lost_and_counted_and_the_next_line_stands_alone(tmp_path: Path) -> None:
    with small_disk(tmp_path, "64k") as disk, (disk / "log").open("ab", buffering=0) as file:
        stream = log_stream_on(file.fileno())
        stream.write("before\n")
        ballast = fill(disk)
        for _ in range(3):
            stream.write("x" * 5000 + "\n")
        ballast.unlink()
        stream.write("after\n")

        first, *broken, lost, last = (disk / "log").read_text().splitlines()

    # The rest of the page that `before` had begun had room for a part of the next line.
    assert ["before", {"x"}] == [first, set("".join(broken))]
    assert {"event": "log_writes_lost", "level": "warning", "writes": 3} == json.loads(lost)
    assert "after" == last


def test_a_reader_that_is_gone_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)

    assert 5 == log_stream_on(write_end).write("said\n")

    os.close(write_end)


def test_a_descriptor_that_is_closed_is_no_error() -> None:
    read_end, write_end = os.pipe()
    stream = log_stream_on(write_end)
    for descriptor in (read_end, write_end):
        os.close(descriptor)

    assert 5 == stream.write("said\n")


def test_a_pipe_that_nobody_reads_blocks_nobody() -> None:
    read_end, write_end = os.pipe()
    stream = log_stream_on(write_end)
    written = b"x" * 200_000 + b"\n"

    stream.write(written.decode())
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert written.startswith(pipe.read())


def test_what_no_encoding_can_say_is_escaped() -> None:
    read_end, write_end = os.pipe()

    log_stream_on(write_end).write("half a pair: \ud83d\n")

    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert b"half a pair: \\ud83d\n" == pipe.read()
