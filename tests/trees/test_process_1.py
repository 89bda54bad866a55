"""`suptree up` as process 1 of a container, here of a pid namespace: strangers are reaped, our own are not, and SIGTERM is heard."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from ..polling import poll_until
from .commands import LIMIT, SUPTREE, Place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a pid namespace")

GIVES_UP = """
[tree]
name = "t"
[agents.a]
type = "process_wrapper"
command = "sh"
args = ["-c", "sleep 1; exit 3"]
"""
ORPHANS = "for number in 1 2 3 4 5; do (sh -c 'sleep 0.05; exit 4' &) ; done"
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--")


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory) as place:
        yield place


@contextlib.contextmanager
def process_1(place: Place) -> Iterator[tuple["subprocess.Popen[bytes]", psutil.Process]]:
    """`suptree up` as process 1, and the `unshare` above it, which ends as it does."""
    with subprocess.Popen([*NAMESPACE, SUPTREE, "up", str(place.file)], env=place.environment, stdout=subprocess.DEVNULL) as above:
        try:
            children = poll_until(psutil.Process(above.pid).children, LIMIT)
            yield above, children[0]
        finally:
            # The kernel ends the whole namespace with it.
            above.kill()


def inside(process: psutil.Process, *command: str) -> int:
    """Run a command in the container, as `docker exec` does; its exit status."""
    return subprocess.run(["nsenter", "-t", str(process.pid), "-p", "-m", *command], check=False, timeout=LIMIT).returncode


def is_up(place: Place, process: psutil.Process) -> bool:
    return inside(process, "env", f"SUPTREE_HOME={place.home}", f"XDG_RUNTIME_DIR={place.runtime}", SUPTREE, "status") == 0


def orphans_of(process: psutil.Process) -> list[psutil.Process]:
    """Its children but the launcher."""
    return [child for child in process.children() if is_orphan(child)]


def is_orphan(child: psutil.Process) -> bool:
    try:
        return child.status() == psutil.STATUS_ZOMBIE or "sleep" in child.cmdline()
    except psutil.ZombieProcess:  # it has ended between the two looks
        return True
    except psutil.NoSuchProcess:
        return False


def test_process_1_reaps_strangers_and_ends_in_order_at_sigterm(place: Place) -> None:
    with process_1(place) as (above, up):
        poll_until(lambda: is_up(place, up), LIMIT)
        for _ in range(4):
            assert 0 == inside(up, "sh", "-c", ORPHANS)
        poll_until(lambda: not orphans_of(up), LIMIT, lambda: orphans_of(up))
        up.send_signal(signal.SIGTERM)
        assert 0 == above.wait(LIMIT)
    poll_until(lambda: not place.processes(), LIMIT)


def test_process_1_takes_no_exit_status_of_its_own_launcher(place: Place) -> None:
    place.file.write_text(GIVES_UP, encoding="utf-8")
    with process_1(place) as (above, up):
        many = f"while :; do {ORPHANS}; sleep 0.05; done"
        with subprocess.Popen(["nsenter", "-t", str(up.pid), "-p", "-m", "sh", "-c", f"({many}) & wait"]) as strangers:
            assert 1 == above.wait(LIMIT)
            assert 0 != strangers.wait(LIMIT)
    poll_until(lambda: not place.processes(), LIMIT)


@pytest.mark.parametrize("command", ["up", "logs"])
def test_process_1_hears_sigterm_while_it_is_loaded(place: Place, command: str) -> None:
    slow = place.folder / "slow"
    slow.mkdir()
    (slow / "click.py").write_text("import pathlib, time; pathlib.Path(__file__ + '.reached').touch()\ntime.sleep(1000)", encoding="utf-8")
    with subprocess.Popen([*NAMESPACE, SUPTREE, command, "t"], env={**place.environment, "PYTHONPATH": str(slow)}) as above:
        poll_until((slow / "click.py.reached").exists, LIMIT)
        (process,) = psutil.Process(above.pid).children()
        process.send_signal(signal.SIGTERM)
        assert 128 + signal.SIGTERM == above.wait(LIMIT)
