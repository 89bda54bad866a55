"""What an agent printed is read whole and once, while the log is written and rotated."""

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from suptree.actors.output import output_log
from suptree.actors.output.log_files import LogFiles
from suptree.actors.output.log_reader import follow_log, tail, tail_of
from suptree.actors.output.output_log import OutputLog, rotated_path
from suptree.control.client.client import Client
from suptree.testing import LiveTree
from tests.polling import poll_until

from .turns_of_others import turns_of_others

ODD = ["form\x0cfeed", "next\x85line", "line\u2028separator", "carriage\rreturn", ""]


@pytest.fixture(params=[100, 1000, 16 * 1024 * 1024])
def rotate_at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    size: int = request.param
    monkeypatch.setattr(output_log, "_ROTATE_AT", size)
    return size


@pytest.fixture
def log(tmp_path: Path) -> OutputLog:
    return OutputLog(tmp_path / "a.log", 1)


def write(log: OutputLog, *texts: object) -> None:
    for text in texts:
        log.write("out", str(text).encode())


def said(entry: str) -> str:
    return entry.split(" ", 3)[3]


async def following(path: Path, lines: int, count: int) -> list[str]:
    async with asyncio.timeout(10):
        entries = follow_log(path, lines)
        return [said(await anext(entries)) for _ in range(count)]


def test_only_a_newline_ends_a_line(log: OutputLog, tmp_path: Path) -> None:
    write(log, *ODD)
    assert ODD == [said(entry) for entry in tail(tmp_path / "a.log", 10)]
    assert ODD == asyncio.run(following(tmp_path / "a.log", 10, len(ODD)))


def test_the_last_lines_are_counted_from_the_end(log: OutputLog, tmp_path: Path) -> None:
    write(log, *range(5))
    expected = [[], ["4"], ["3", "4"], ["0", "1", "2", "3", "4"], ["0", "1", "2", "3", "4"], []]
    assert expected == [[said(entry) for entry in tail(tmp_path / "a.log", lines)] for lines in (0, 1, 2, 5, 6, -1)]


def test_the_lines_of_one_incarnation_are_found_in_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    monkeypatch.setattr(output_log, "_ROTATE_AT", 150)
    for incarnation in (1, 2, 3):
        log = OutputLog(path, incarnation)
        write(log, f"#1 out {incarnation}", "last")
        log.close()
    assert rotated_path(path).exists()
    found = [[said(entry) for entry in tail_of(path, 10, incarnation)] for incarnation in (1, 2, 3, 4)]
    assert [["#1 out 1", "last"], ["#1 out 2", "last"], ["#1 out 3", "last"], []] == found
    assert [["last"], []] == [[said(entry) for entry in tail_of(path, lines, 2)] for lines in (1, 0)]


def test_what_c_code_wrote_is_of_the_incarnation_that_wrote_last(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "a.log", 1)
    write(log, "first")
    log.redirect(log_descriptor := os.open(os.devnull, os.O_WRONLY))
    os.write(log_descriptor, b"from C\n")
    os.close(log_descriptor)
    write(OutputLog(tmp_path / "a.log", 2), "second")
    assert [2, 1] == [len(tail_of(tmp_path / "a.log", 10, incarnation)) for incarnation in (1, 2)]
    assert "from C" == tail_of(tmp_path / "a.log", 1, 1)[0]


def test_a_number_without_end_is_no_incarnation(tmp_path: Path) -> None:
    """A child process of a native agent writes into the log what it likes."""
    write(OutputLog(tmp_path / "a.log", 1), "first")
    odd = f"2026-01-02T03:04:05.678Z #{'9' * 5000} out odd"
    with (tmp_path / "a.log").open("a") as raw:
        raw.write(odd + "\n")
    assert odd == tail_of(tmp_path / "a.log", 1, 1)[0]


def test_the_last_lines_of_a_long_file_are_found(log: OutputLog, tmp_path: Path) -> None:
    texts = [f"{number} " + "x" * 1000 for number in range(5000)]
    write(log, *texts)
    assert [texts[-3000:], texts] == [[said(entry) for entry in tail(tmp_path / "a.log", lines)] for lines in (3000, 10000)]


def test_a_line_that_has_not_ended_is_among_the_last(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"one\ntwo\nthr")
    assert [["thr"], ["two", "thr"], ["one", "two", "thr"]] == [tail(tmp_path / "a.log", lines) for lines in (1, 2, 9)]


def test_there_are_no_lines_without_a_file(tmp_path: Path) -> None:
    assert [] == tail(tmp_path / "a.log", 10)


def test_the_last_lines_reach_back_across_a_rotation(tmp_path: Path) -> None:
    (tmp_path / "a.log.1").write_text("1\n2\n3\n")
    (tmp_path / "a.log").write_text("4\n5\n")
    assert [["4", "5"], ["3", "4", "5"], ["1", "2", "3", "4", "5"]] == [tail(tmp_path / "a.log", lines) for lines in (2, 3, 9)]


@pytest.mark.parametrize("texts", [["d"], ["d", "e"]])
def test_the_rest_of_a_file_is_read_after_its_rotation(texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = OutputLog(tmp_path / "a.log", 1)

    async def program() -> list[str]:
        entries = follow_log(tmp_path / "a.log", 10)
        write(log, "a")
        heard = [said(await anext(entries))]
        # All before the reader has another turn: what follows in the same file, and one or two files after it.
        write(log, "b", "c")
        for text in texts:
            monkeypatch.setattr(output_log, "_ROTATE_AT", 1)
            write(log, text)
            monkeypatch.undo()
            write(log, text + "'")
        async with asyncio.timeout(10):
            heard += [said(await anext(entries)) for _ in range(2 + 2 * len(texts))]
        return heard

    assert ["a", "b", "c", *[part for text in texts for part in (text, text + "'")]] == asyncio.run(program())


def test_a_file_that_is_rotated_while_both_places_are_opened_is_read_once(tmp_path: Path) -> None:
    place, before = tmp_path / "a.log", tmp_path / "a.log.1"
    for text in ("1\n", "2\n"):
        place.write_text(text)
        if text == "1\n":
            files = LogFiles(place, 0)
            place.rename(before)
    with contextlib.closing(files), place.open("rb") as newest:
        place.rename(before)
        place.write_text("3\n")
        with before.open("rb") as older:
            assert [newest] == files._begun(newest, older)


def test_a_file_that_begins_later_is_followed_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"

    async def program() -> str:
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, lambda: write(OutputLog(path, 1), "first"))
        async with asyncio.timeout(10):
            return said(await anext(follow_log(path, 10)))

    assert "first" == asyncio.run(program())


@pytest.mark.parametrize("lines", [1, 20])
def test_every_line_is_read_once_under_a_writer_that_rotates(lines: int, rotate_at: int, tmp_path: Path) -> None:
    """The writer is never more than a line ahead of what the file before the present one can hold; beyond that lines are gone by design."""
    total, ahead = 3000, threading.Semaphore(max(1, rotate_at // 60))
    log = OutputLog(tmp_path / "a.log", 1)
    write(log, "begin")

    def writing() -> None:
        for number in range(total):
            if not ahead.acquire(timeout=30):
                return
            write(log, number)

    async def program() -> list[int]:
        heard: list[int] = []
        writer = threading.Thread(target=writing)
        async with asyncio.timeout(60):
            entries = follow_log(tmp_path / "a.log", lines)
            first = asyncio.ensure_future(anext(entries))
            await asyncio.sleep(0)
            writer.start()
            text = said(await first)
            while True:
                if text != "begin":
                    heard.append(int(text))
                    ahead.release()
                if text == str(total - 1):
                    break
                text = said(await anext(entries))
        await asyncio.to_thread(writer.join)
        return heard

    heard = asyncio.run(program())
    assert list(range(heard[0], total)) == heard


def test_a_client_hears_odd_characters_as_they_were_printed() -> None:
    printing = f"import sys, time; sys.stdout.buffer.write({chr(10).join([*ODD, '']).encode()!r}); sys.stdout.flush(); time.sleep(1000000)"
    tree = f'[agents.odd]\ntype = "process_wrapper"\ncommand = {json.dumps(sys.executable)}\nargs = ["-c", {json.dumps(printing)}]\n'

    async def listen(client: Client) -> list[str]:
        async with asyncio.timeout(10):
            entries = client.follow_log("odd")
            return [said(await anext(entries)) for _ in ODD]

    with LiveTree(tree) as live:
        assert ODD == live.ask(listen)


def test_a_follower_leaves_the_others_their_turn_however_many_lines_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"y\n" * 1_000_000)

    async def follow() -> int:
        async with contextlib.aclosing(follow_log(tmp_path / "a.log", 1_000_000)) as lines:
            await anext(lines)
            with turns_of_others() as turns:
                for _ in range(999_999):
                    await anext(lines)
        return turns.count

    assert asyncio.run(follow()) > 5


FLOODS = {"short lines": "'\\n' * 100_000", "long lines": "'\\1' * (16 * 1024 * 1024 - 100) + '\\n'"}


@pytest.mark.parametrize("flood", FLOODS)
def test_the_launcher_serves_others_while_a_log_is_flooded_and_when_its_follower_has_gone(flood: str) -> None:
    printing = f"import sys\nwhile True: sys.stdout.write({FLOODS[flood]}); sys.stdout.flush()"
    tree = f'[agents.a]\ntype = "process_wrapper"\ncommand = {json.dumps(sys.executable)}\nargs = ["-c", {json.dumps(printing)}]\n'

    async def ask(client: Client) -> None:
        async with contextlib.aclosing(client.follow_log("a")) as lines:
            for _ in range(5):
                await anext(lines)
            following = asyncio.create_task(_read(lines))
            # Fails where the launcher has not answered within 15 s.
            for _ in range(3):
                await client.status()
            following.cancel()
            await asyncio.wait([following])
        for _ in range(3):
            await client.status()

    with LiveTree(tree) as live:
        pid = live.launcher.process.pid
        live.ask(ask)
        poll_until(lambda: not _logs_open(pid), 20, "the launcher reads the log no more")


async def _read(lines: AsyncGenerator[str, None]) -> None:
    async for _ in lines:
        pass


def _logs_open(pid: int) -> list[str]:
    return [where for fd in os.listdir(f"/proc/{pid}/fd") if "/logs/" in (where := _where(f"/proc/{pid}/fd/{fd}"))]  # noqa: PTH208


def _where(link: str) -> str:
    try:
        return str(Path(link).readlink())
    except OSError:
        return ""  # closed meanwhile
