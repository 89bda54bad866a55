"""Control groups that the kernel cannot kill as a whole (v1, or older than Linux 5.14): their processes are killed one by one."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.actors.kernel.cgroup import Cgroup, Groups, own_groups
from tests.polling import poll_until

MANY = 3_000


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of ours in the memory hierarchy of cgroup v1."""
    own = own_groups().memory_v1
    if own is None or not os.access(own, os.W_OK):
        pytest.skip("there is no memory hierarchy of cgroup v1 to write to")
    group = Path(own, f"suptree-test-{os.getpid()}")
    group.mkdir()
    yield group
    poll_until(lambda: not members(group), 30)
    group.rmdir()


def members(group: Path) -> list[int]:
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


def join(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))


def test_a_process_that_is_no_member_any_more_when_it_is_held_is_left_alone(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "1000"]) as member, subprocess.Popen(["sleep", "1000"]) as leaves:
        hold = os.pidfd_open

        def hold_late(pid: int) -> int:
            # As if its pid were another process's by now.
            if pid == leaves.pid:
                join(group.parent, pid)
            return hold(pid)

        monkeypatch.setattr(os, "pidfd_open", hold_late)
        try:
            join(group, member.pid)
            join(group, leaves.pid)
            Groups(memory_v1=str(group)).kill()
            assert -9 == member.wait(10)
            assert leaves.poll() is None
        finally:
            leaves.kill()


def test_every_process_of_a_large_group_is_killed_in_turns(group: Path) -> None:
    starts = f"echo $$ > {group}/cgroup.procs; for n in $(seq {MANY}); do sleep 1000 & done; wait"
    longest = 0.0

    async def kill_all() -> None:
        nonlocal longest
        killing = asyncio.ensure_future(Groups(memory_v1=str(group)).kill_all())
        turn = time.monotonic()
        while not killing.done():
            await asyncio.sleep(0)
            longest, turn = max(longest, time.monotonic() - turn), time.monotonic()
        await killing

    with subprocess.Popen(["sh", "-c", starts]) as starter:
        poll_until(lambda: len(members(group)) == MANY + 1, 60)
        assert not Groups(memory_v1=str(group)).kill()
        assert len(members(group)) > MANY / 2
        asyncio.run(kill_all())
        assert -9 == starter.wait(10)
    # A batch may take longer than a turn, on a machine that does other things.
    assert longest < 1


def test_what_is_killed_has_all_the_cpu_time_that_it_needs_to_die_and_its_hooks_are_limited_again() -> None:
    own = own_groups()
    name = f"suptree-test-{os.getpid()}"
    groups = Groups(*(path and f"{path}/{name}" for path in own.each))
    cgroup = Cgroup(groups)
    try:
        cgroup.make(cpu_max=0.02)
        if "cpu" not in cgroup.held:
            pytest.skip("there is no group that limits the use of CPUs")
        quota = next(path / name for path in groups.paths for name in ("cpu.max", "cpu.cfs_quota_us") if (path / name).exists())
        assert "2000" == quota.read_text().split()[0]
        groups.kill()
        assert quota.read_text().split()[0] in ("max", "-1")
        cgroup.limit_again()
        assert "2000" == quota.read_text().split()[0]
    finally:
        groups.remove()
