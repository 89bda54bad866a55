"""What an agent leaves behind in pid namespaces: their first process waits in the kernel until all in there are reaped."""

import asyncio
import ctypes
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from suptree.actors.kernel.sweep import sweep

NAMESPACES = 120
WITHIN = 20.0
_PR_SET_CHILD_SUBREAPER = 36

# In each: the first process (J), and a zombie whose parent (H) is outside, and ends before J can.
LEAVES_BEHIND = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
NEWPID = 0x20000000

def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def namespace():
    reads, writes = os.pipe()
    if os.fork() == 0:
        call(libc.unshare(NEWPID))
        first = os.fork()
        if first == 0:
            while True:
                time.sleep(1000)
        os.write(writes, first.to_bytes(4, "little"))
        os._exit(0)
    first = int.from_bytes(os.read(reads, 4), "little")
    if os.fork() == 0:
        call(libc.setns(os.open(f"/proc/{first}/ns/pid", os.O_RDONLY), NEWPID))
        if os.fork() == 0:
            os._exit(0)
        os.write(writes, b"zombie")
        while True:
            time.sleep(1000)
    os.read(reads, 6)

for _ in range(int(sys.argv[1])):
    namespace()
print("left", flush=True)
"""


@pytest.mark.parametrize("count", [1, NAMESPACES])
def test_a_sweep_ends_them_however_many_there_are(count: int, tmp_path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # As an actor does: what is left behind becomes ours.
    assert 0 == libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stuck: list[int] = []
    ended: list[int] = []
    try:
        with (tmp_path / "said").open("w") as said:
            code = subprocess.call([sys.executable, "-ISEc", LEAVES_BEHIND, str(count)], stdout=said, stderr=said, timeout=60)
        if "Operation not permitted" in (tmp_path / "said").read_text():
            pytest.skip("this kernel lets nobody make a pid namespace here")
        assert (0, "left\n") == (code, (tmp_path / "said").read_text())
        assert len(psutil.Process().children()) >= 2 * count
    finally:
        ended = asyncio.run(asyncio.wait_for(sweep(tuple, stuck.extend), WITHIN))
        assert 0 == libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert [] == psutil.Process().children()
    assert [] == stuck
    assert len(ended) >= 2 * count
