"""What is left behind may be more than there are descriptors, and may end faster than it can be reaped."""

import asyncio
import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suptree.actors.agent.confinement import Confinement
from suptree.actors.deaths.evidence import SWEPT_KEPT, SweptLog
from suptree.actors.kernel.linux import own_children, this_process
from suptree.actors.kernel.sweep import process_ended, reap_zombies, sweep
from suptree.actors.output.redaction import Redactor
from suptree.actors.program.hooks import Hooks
from suptree.actors.program.orphan_reaper import OrphanReaper
from suptree.actors.spec.agent_spec import AgentSpec
from suptree.actors.state import AgentType
from tests.polling import poll_until_async

ROOT = Path(__file__).parents[2]
NEEDS_PIDS = pytest.mark.skipif(not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK), reason="only root can say which pid is given next")


def in_a_process(function: str) -> object:
    """What a function of this module returns in a process of its own, with children and signals of its own."""
    program = f"import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1])[{function!r}]()))"
    done = subprocess.run([sys.executable, "-c", program, __file__], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


def forked(count: int, *, ended: bool = False) -> set[int]:
    """Children that sleep, or that have ended."""
    children = set()
    for _ in range(count):
        if (pid := os.fork()) == 0:
            if not ended:
                time.sleep(1000)
            os._exit(0)
        children.add(pid)
    return children


def sweeps_more_than_it_has_descriptors() -> list[object]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
    kept = forked(1)
    orphans = forked(300)
    asked = 0

    def keep() -> set[int]:
        nonlocal asked
        asked += 1
        return kept

    swept = asyncio.run(sweep(keep))
    left = set(own_children())
    for pid in kept:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    # A round takes 0.2 s at most, however many there are.
    return [orphans == set(swept), left == kept, 2 <= asked < len(orphans) / 4]


def test_more_orphans_than_descriptors_are_swept_and_what_to_keep_is_asked_once_a_round() -> None:
    assert [True, True, True] == in_a_process("sweeps_more_than_it_has_descriptors")


def waits_for_descriptors() -> list[object]:
    orphans = forked(3)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def sweep_without_any() -> list[object]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
        taken = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        swept = asyncio.create_task(sweep(tuple))
        end = asyncio.create_task(process_ended(min(orphans)))
        await asyncio.sleep(0.5)
        waits = not swept.done() and not end.done()
        for descriptor in taken:
            os.close(descriptor)
        async with asyncio.timeout(30):
            await end
            return [waits, orphans == set(await swept), own_children()]

    return asyncio.run(sweep_without_any())


def test_a_sweep_waits_while_there_is_no_descriptor_to_look_at_processes_with() -> None:
    assert [True, True, []] == in_a_process("waits_for_descriptors")


def sweeps_twice_while_a_pid_is_used_again() -> list[object]:
    orphans = forked(300)
    kept: set[int] = set()

    async def fork_one() -> None:
        while True:
            await asyncio.sleep(0)
            if free := [pid for pid in orphans if not Path(f"/proc/{pid}").exists()]:
                Path("/proc/sys/kernel/ns_last_pid").write_text(str(free[len(free) // 2] - 1))
                kept.update(forked(1))
                return

    async def sweep_twice() -> None:
        forks = asyncio.ensure_future(fork_one())
        await asyncio.gather(sweep(lambda: set(kept)), sweep(lambda: set(kept)))
        await forks

    asyncio.run(asyncio.wait_for(sweep_twice(), 30))
    left = [own_children() == [*kept], [os.waitpid(pid, os.WNOHANG) for pid in kept]]
    for pid in kept:
        os.kill(pid, signal.SIGKILL)
    return [*left, kept <= orphans]


def names_itself_after_another() -> list[object]:
    """As two supervisors name the source of their events, of which the second has got the pid of the first."""
    names: list[str] = []
    for _ in range(2):
        reads, writes = os.pipe()
        if names:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(int(names[0].partition(".")[0]) - 1))
        if (pid := os.fork()) == 0:
            os.write(writes, this_process().encode())
            os._exit(0)
        os.waitpid(pid, 0)
        names.append(os.read(reads, 100).decode())
        time.sleep(0.02)  # the kernel counts in steps of 10 ms
    return [names[0].partition(".")[0] == names[1].partition(".")[0], names[0] != names[1]]


@NEEDS_PIDS
def test_a_process_that_has_got_the_pid_of_another_has_another_name() -> None:
    assert [True, True] == in_a_process("names_itself_after_another")


@NEEDS_PIDS
def test_a_child_that_has_got_the_pid_of_an_orphan_is_ended_by_no_other_sweep() -> None:
    assert [True, [[0, 0]], True] == in_a_process("sweeps_twice_while_a_pid_is_used_again")


def notes_some_of_many() -> list[object]:
    orphans = forked(SWEPT_KEPT + 100)
    noted = SweptLog(Redactor({}, {}))
    noted.note_all(())
    before = noted.notes
    ended = asyncio.run(sweep(tuple, note=noted.note))
    swept = {each.pid for each in noted.swept}
    return [len(swept), swept < orphans, orphans == set(ended), before, noted.notes, own_children()]


def test_of_very_many_orphans_some_are_noted_and_the_rest_is_counted() -> None:
    more = ["it left behind 100 more processes, which were ended too"]
    assert [SWEPT_KEPT, True, True, [], more, []] == in_a_process("notes_some_of_many")


def reaps_in_a_flood() -> list[object]:
    turns = 0

    def reap() -> None:
        nonlocal turns
        turns += 1
        time.sleep(0.005)
        reap_zombies(())

    async def flood() -> float:
        loop = asyncio.get_running_loop()
        reaper = OrphanReaper(loop, reap)
        reaper.begin()
        longest, before = 0.0, time.monotonic()
        for _ in range(300):
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGCHLD)
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
        forked(50, ended=True)
        await poll_until_async(lambda: not own_children(), 20.0, "the last is reaped")
        reaper.end()
        return longest

    longest = asyncio.run(asyncio.wait_for(flood(), 30))
    return [longest < 1, turns < 150, signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL]


def test_a_flood_of_ends_leaves_the_loop_its_time_and_the_last_is_reaped() -> None:
    assert [True, True, True] == in_a_process("reaps_in_a_flood")


def reaps_when_there_are_descriptors_again() -> list[object]:
    tried = 0

    def reap() -> None:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        reap_zombies(())

    async def one_ends() -> None:
        reaper = OrphanReaper(asyncio.get_running_loop(), reap)
        reaper.begin()
        forked(1, ended=True)
        await poll_until_async(lambda: not own_children(), 20.0, "it is reaped")
        reaper.end()

    asyncio.run(asyncio.wait_for(one_ends(), 30))
    return [tried]


def test_what_cannot_be_looked_at_while_descriptors_are_short_is_reaped_later() -> None:
    assert [3] == in_a_process("reaps_when_there_are_descriptors_again")


def test_what_a_hook_prints_is_written_together_however_many_lines_it_has(tmp_path: Path) -> None:
    written: list[bytes] = []
    spec = AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="true")
    hooks = Hooks(lambda: None, Confinement(spec, None, umask=0o022, nofile=None), written.append)
    prints = (sys.executable, "-c", "print('first' + '\\n' * 60_000 + 'last')")
    asyncio.run(hooks.run(prints, cwd=None, environment={}, limit=30))
    # It prints what fills its buffer, and each time all lines in it are written together.
    assert len(written) < 100
    lines = b"\n".join(written)
    assert (60_001, b"first", b"last") == (len(lines.split(b"\n")), lines[:5], lines[-4:])
