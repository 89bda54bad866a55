"""Some fuzzing of each target; the long run is `python -m tests.fuzz --seconds 600 TARGET`."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.control_driver import Driver, Fault
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
INPUTS = 1500
"""Not seconds: how many inputs these would be depends on what else the machine does."""
# What a long run has found, and was fixed.
FOUND: dict[str, tuple[bytes, ...]] = {
    "control_bytes": (b"HEAD / HTTP/1.1\r\nHost: suptree\r\nTransfer-Encoding: chunked\r\n\r\nno chunk, whatever it says\r\n",),
    # A number in the journal that is none; and a damaged one whose damage SQLite quotes in its words about it.
    "state_files": (b"\x07\x5e-\xff", b"\x07\x00\xda\x8f\x96\x9b\xdd\xc5\xdf\xffite\x00e"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzing_begins_with_is_taken(name: str) -> None:
    one_input = TARGETS[name].make()
    taken = 0
    for seed in (b"", *TARGETS[name].seeds(), *FOUND.get(name, ())):
        one_input(seed)
        taken += 1
    assert taken > 3


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not available for this platform")
@pytest.mark.parametrize("name", TARGETS)
def test_fuzzing_finds_nothing(name: str, tmp_path: Path, short_folder: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", str(INPUTS), "--seconds", "100", "--found", str(tmp_path), name]
    environment = {**os.environ, "TMPDIR": str(short_folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=115, check=False)
    runs = re.search(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert (0, [], []) == (done.returncode, list(tmp_path.iterdir()), list(short_folder.iterdir())), done.stderr[-3000:]
    assert runs is not None
    assert int(runs[1]) >= INPUTS


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not available for this platform")
def test_fuzzing_would_find_something(tmp_path: Path) -> None:
    """A target with a fault that only its coverage leads to."""
    tests = "".join(f"{' ' * (at + 4)}if data[{at}:{at + 1}] == {bytes([byte])!r}:\n" for at, byte in enumerate(b"stop"))
    (tmp_path / "faulty.py").write_text(f"def one_input(data):\n{tests}{' ' * 8}raise RuntimeError\n")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from tests.fuzz import __main__, targets
def make():
    from faulty import one_input
    return one_input
targets.TARGETS["notify"] = targets.Target(make=make, instrumented=("faulty",), seeds=lambda: [b"a"], words=(b"x",))
sys.argv = ["fuzz", "--seconds", "60", "--found", {str(tmp_path)!r}, "notify"]
__main__.main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    [found] = tmp_path.glob("notify-crash-*")
    assert (True, b"stop") == (done.returncode != 0, found.read_bytes()[:4])


@pytest.mark.parametrize("fault", ["an answer of 500", "an error in the log", "a connection that does not end"])
def test_the_driver_of_the_api_reports(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    match fault:
        case "an answer of 500":
            monkeypatch.delattr(driver.launcher, "pids")
        case "an error in the log":
            monkeypatch.setattr("suptree.control.door.http_protocol.BoundedProtocol.send_400_response", lambda *_: 1 / 0)
        case _:
            monkeypatch.setattr("tests.fuzz.control_driver._IN_TIME", 0.2)
            monkeypatch.setattr("suptree.control.door.bounds._Stream.__call__", _sleeps)
    request = {"an error in the log": b"\0\r\n\r\n", "a connection that does not end": b"GET /events HTTP/1.1\r\nHost: suptree\r\n\r\n"}
    with pytest.raises((Fault, ZeroDivisionError)):
        driver.feed(request.get(fault, b"GET /status HTTP/1.1\r\nHost: suptree\r\n\r\n"))


async def _sleeps(*_: object) -> None:
    import asyncio  # noqa: PLC0415

    await asyncio.sleep(1)
