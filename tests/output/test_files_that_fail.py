"""A log that is full, forbidden, gone or something else: its writer lives on, the loss is counted, the file comes again."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suptree.actors.kernel.lossy_file import LossyFile
from suptree.actors.output import output_log
from suptree.actors.output.line_splitter import LineSplitter
from suptree.actors.output.log_reader import tail
from suptree.actors.output.output_log import OutputLog, log_path, rotated_path
from suptree.testing import LiveTree
from tests.polling import poll_until

KIB, MIB = 1024, 1024 * 1024
Writer = Callable[[OutputLog], OutputLog]
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="a file system can only be mounted by root")
LOUD = """
[agents.loud]
type = "process_wrapper"
command = "sh"
args = ["-c", '''{script}''']
stdin = "pipe"
"""


def texts(path: Path) -> list[str]:
    """What a log holds, without times and streams."""
    return [entry.split(" ", 3)[3] for entry in tail(path, 100_000)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 512 KiB that holds eight files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,nr_inodes=9", "suptree-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def writer() -> Iterator[Writer]:
    """Closes a log before its file system is unmounted."""
    with contextlib.ExitStack() as stack:
        yield lambda log: stack.enter_context(contextlib.closing(log))


@NEEDS_ROOT
def test_of_a_disk_that_was_full_the_log_goes_on_when_there_is_room(small_disk: Path, writer: Writer) -> None:
    stone = small_disk / "stone"
    stone.write_bytes(b"x" * 500 * KIB)
    log = writer(OutputLog(small_disk / "a.log", 1))
    for _ in range(10):
        log.write("out", b"y" * 4 * KIB)
    kept = texts(small_disk / "a.log")
    assert (True, ["y" * 4 * KIB] * len(kept)) == (0 < log.lost < 10 * 5 * KIB, kept)
    stone.unlink()
    log.write("out", b"again")
    missing = f"[suptree] {log.lost} bytes of output before this are missing: No space left on device"
    assert [*kept, missing, "again"] == texts(small_disk / "a.log")


@NEEDS_ROOT
def test_a_log_that_begins_on_a_disk_without_inodes_is_made_when_there_is_one(small_disk: Path, writer: Writer) -> None:
    stones = [small_disk / str(number) for number in range(8)]
    for stone in stones:
        stone.touch()
    log = writer(OutputLog(small_disk / "a.log", 1))
    log.write("out", b"lost")
    assert not (small_disk / "a.log").exists()
    stones[0].unlink()
    log.write("out", b"kept")
    assert "kept" == texts(small_disk / "a.log")[-1]


@NEEDS_ROOT
def test_a_log_that_cannot_rotate_without_free_inodes_keeps_what_is_newest(
    small_disk: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output_log, "_ROTATE_AT", 10 * KIB)
    log = writer(OutputLog(small_disk / "a.log", 1))
    for number in range(7):
        (small_disk / str(number)).touch()
    for number in range(100):
        log.write("out", b"%d " % number + b"x" * KIB)
    kept = texts(small_disk / "a.log")
    assert 1 == capsys.readouterr().out.count("not_written")
    assert ("99", False) == (kept[-1].split()[0], rotated_path(small_disk / "a.log").exists())
    assert kept[0].endswith("bytes of output before this are missing: No space left on device")


@NEEDS_ROOT
def test_a_file_system_that_becomes_read_only_costs_what_is_written_meanwhile(small_disk: Path) -> None:
    log = OutputLog(small_disk / "a.log", 1)
    log.write("out", b"before")
    log.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    log = OutputLog(small_disk / "a.log", 2)
    log.write("out", b"lost")
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    log.write("out", b"after")
    missing = "[suptree] 37 bytes of output before this are missing: Read-only file system"
    assert ["before", missing, "after"] == texts(small_disk / "a.log")
    log.close()


def test_a_limit_on_the_size_of_files_rotates_and_loses_no_line_of_the_newest(tmp_path: Path) -> None:
    """In a process of its own: the limit is one of the process."""
    path = tmp_path / "a.log"
    script = (
        "import resource, pathlib\n"
        "from suptree.actors.output.output_log import OutputLog\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        f"log = OutputLog(pathlib.Path({str(path)!r}), 1)\n"
        "for number in range(2000): log.write('out', b'%d' % number)\n"
        "log.write('out', b'\\n'.join(b'%d' % number for number in range(2000, 4000)))\n"
        "assert log.lost == 0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    found = [int(text) for text in texts(path)]
    assert list(range(found[0], 4000)) == found
    assert 20000 < rotated_path(path).stat().st_size + path.stat().st_size <= 40000


def remove(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def remove_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def put_another_there(path: Path) -> None:
    path.unlink()
    path.touch(0o644)


@pytest.mark.parametrize("take_away", [remove, move_away, remove_the_folder, put_another_there])
def test_a_log_that_was_taken_away_is_there_again_with_the_next_line(take_away: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "t" / "logs" / "a.log"
    log = OutputLog(path, 1)
    log.write("out", b"before")
    take_away(path)
    log.write("out", b"after")
    assert (["after"], 0, 0o600, 0o700) == (texts(path), log.lost, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_link_that_leads_in_a_circle(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("put", [a_folder, a_fifo, a_link_that_leads_in_a_circle])
def test_what_stands_in_place_of_a_log_costs_the_output_until_it_is_gone(put: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    put(path)
    log = OutputLog(path, 1)
    for _ in range(100):
        log.write("out", b"x" * 64 * KIB)
    assert log.lost > 100 * 64 * KIB
    (path.rmdir if put is a_folder else path.unlink)()
    log.write("out", b"after")
    missing, after = texts(path)
    assert (True, "after") == (missing.startswith(f"[suptree] {log.lost} bytes of output before this are missing: "), after)


def test_with_a_folder_in_place_of_the_rotated_log_the_log_is_still_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_log, "_ROTATE_AT", 10 * KIB)
    path = tmp_path / "a.log"
    (rotated_path(path) / "in it").mkdir(parents=True)
    log = OutputLog(path, 1)
    for number in range(100):
        log.write("out", b"%d " % number + b"x" * KIB)
    assert (True, "99") == (path.stat().st_size <= 12 * KIB, (path.read_text().splitlines()[-1].split(" ", 3)[3]).split()[0])


def test_a_device_behind_a_link_keeps_its_mode(tmp_path: Path) -> None:
    before = Path("/dev/null").stat().st_mode
    (tmp_path / "a.log").symlink_to("/dev/null")
    log = OutputLog(tmp_path / "a.log", 1)
    log.write("out", b"for nobody")
    assert (before, 0) == (Path("/dev/null").stat().st_mode, log.lost)


def test_a_loss_is_reported_when_it_begins_and_when_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.log"
    path.mkdir()
    file = LossyFile(path, lambda count, why: b"%d lost: %s\n" % (count, why.encode()))
    for _ in range(3):
        file.append(b"0123456\n")
    assert 1 == capsys.readouterr().out.count("not_written")
    path.rmdir()
    file.append(b"after\n")
    file.append(b"more\n")
    assert (1, b"24 lost: Is a directory\nafter\nmore\n") == (capsys.readouterr().out.count("written_again"), path.read_bytes())


def test_a_line_that_a_crash_left_without_an_end_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"2026-11-27T00:10:42.000Z #1 out torn")
    OutputLog(path, 2).write("out", b"next")
    assert ["torn", "next"] == texts(path)


def test_a_long_line_for_which_there_is_no_file_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "logs" / "a.log"
    log = OutputLog(path, 1)
    splitter = LineSplitter(log, "out")
    splitter.feed(b"x" * 300 * KIB)
    shutil.rmtree(path.parent)
    other = LineSplitter(log, "err")
    other.feed(b"y" * 300 * KIB)
    for each in (splitter, other):
        each.feed(b"FATAL\n")
    (of_out, of_err) = texts(path)
    assert "x" * 300 * KIB + "FATAL" == of_out
    assert (True, True) == (of_err.startswith("[cut: the line could not be kept: No such file or directory] y"), of_err.endswith("yFATAL"))


FLOODS = {"300 KiB without a newline": "head -c 307200 /dev/zero | tr '\\\\0' x; echo", "20 MB of lines": "seq 2600000"}


def take_logs(live: LiveTree) -> None:
    shutil.rmtree(log_of(live).parent)


def limit_files_to_200_kb(live: LiveTree) -> None:
    resource.prlimit(live.agent("loud")["actor_pid"], resource.RLIMIT_FSIZE, (200_000, 200_000))


def put_a_folder_there(live: LiveTree) -> None:
    log_of(live).unlink(missing_ok=True)
    log_of(live).mkdir(parents=True)


def log_of(live: LiveTree) -> Path:
    return log_path(str(live.launcher.paths.state), "loud")


def loss_reported(live: LiveTree) -> bool:
    return "not_written" in live.launcher.paths.launcher_log.read_text()


@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("harm", [take_logs, limit_files_to_200_kb, put_a_folder_there])
def test_no_fault_of_its_log_ends_an_agent(script: str, harm: Callable[[LiveTree], None]) -> None:
    with LiveTree(LOUD.format(script=f"read go; {script}; read done; echo done; exec sleep 1000000")) as live:
        before = live.wait_until_all_run()["agents"][0]
        harm(live)
        live.ask(lambda client: client.tell("loud", "go"))
        if harm is put_a_folder_there:
            poll_until(lambda: loss_reported(live), within=60)
            log_of(live).rmdir()
        live.ask(lambda client: client.tell("loud", "done"))
        poll_until(lambda: log_of(live).is_file() and "".join(tail(log_of(live), 1)).endswith(" done"), within=60)
        after = live.agent("loud")
        assert (before["pid"], before["incarnation"], "running") == (after["pid"], after["incarnation"], after["status"])


def test_what_c_code_of_a_native_agent_writes_is_in_the_log_again_after_its_next_ping(tmp_path: Path) -> None:
    (tmp_path / "raw.py").write_text(
        "import asyncio, os\n"
        "class Raw:\n"
        "    async def run(self):\n"
        "        while True:\n"
        "            os.write(1, b'from C\\n')\n"
        "            await asyncio.sleep(0.1)\n"
        "def make(*_): return Raw()\n"
    )
    heartbeat = "heartbeat = { interval = 0.2, suspect_after = 5, dead_after = 10 }"
    with LiveTree(f'[agents.loud]\ntype = "native_llm"\nfactory = "raw:make"\n{heartbeat}\n', sys_path=[str(tmp_path)]) as live:
        before = live.wait_until_all_run()["agents"][0]
        shutil.rmtree(log_of(live).parent)
        poll_until(lambda: "from C" in tail(log_of(live), 1), within=10)
        after = live.agent("loud")
        assert (before["incarnation"], "running") == (after["incarnation"], after["status"])
