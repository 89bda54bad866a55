"""Pings: how many a second the heartbeat actor takes, beside a bare asyncio receiver, and what one a second from each of many agents costs.

python benchmarks/fan_in.py [AGENTS]

The receiver's share is what fanning in costs. What each sender pays beside it is the price of waking a process once a second: for
comparison the same is measured of as many bare processes that do nothing but sleep and send.

Needs root: one sender speaks for all agents, and only root may tell the kernel to vouch for another's pid.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

from suptree.actors.notify.notification import DATAGRAM_LIMIT, NOTIFY_SOCKET
from suptree.testing import LiveTree

PINGS = 100_000
SECONDS = 20.0
SPREAD = 50


def tree(agents: int) -> str:
    """So many agents, fifty below each supervisor."""
    text = '[tree]\nname = "fan-in"\n'
    for number in range(agents):
        if number % SPREAD == 0:
            text += f"[supervisors.s{number // SPREAD}]\n"
        text += f'[agents.a{number}]\ntype = "process_wrapper"\nsupervisor = "s{number // SPREAD}"\ncommand = "sleep"\nargs = ["1000000"]\n'
    return text


def pings_a_second(path: Path, pids: list[int]) -> float:
    """Send pings in the name of these processes, one after the other, as fast as they are taken."""
    credentials = [struct.pack("3i", pid, os.getuid(), os.getgid()) for pid in pids]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(path))
        began = time.perf_counter()
        for number in range(PINGS):
            ancillary = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials[number % len(pids)])
            sender.sendmsg([b"WATCHDOG=1"], [ancillary])
        return PINGS / (time.perf_counter() - began)


def receive(path: Path) -> None:
    """The least that a receiver in asyncio can do: take the datagram and its sender, and note the time."""

    async def run() -> None:
        seen: dict[int, float] = {}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.setblocking(False)
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            receiver.bind(str(path))

            def readable() -> None:
                _, ancillary, _, _ = receiver.recvmsg(DATAGRAM_LIMIT, socket.CMSG_SPACE(12))
                seen[struct.unpack("3i", ancillary[0][2])[0]] = time.monotonic()

            asyncio.get_running_loop().add_reader(receiver, readable)
            await asyncio.Event().wait()

    asyncio.run(run())


def bare_pings_a_second(pids: list[int]) -> float:
    """The same with a receiver that does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bare.sock"
        pid = os.fork()
        if pid == 0:
            receive(path)
        while not path.exists():
            time.sleep(0.01)
        try:
            return pings_a_second(path, pids)
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def send_each_second(path: Path) -> None:
    """The least that a sender can do; no two at the same time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(path))
        time.sleep(os.getpid() * 0.618 % 1)
        while True:
            sender.send(b"WATCHDOG=1")
            time.sleep(1.0)


def share_of_bare_senders(senders: int) -> float:
    """What so many of them use together, in percent of a core."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = Path(folder) / "bare.sock"
        receiver.bind(str(path))
        receiver.setblocking(False)
        gc.freeze()
        pids = []
        for _ in range(senders):
            pids += [os.fork()]
            if not pids[-1]:
                send_each_second(path)
        try:
            drain(receiver, until=time.perf_counter() + 2)
            before, began = sum(map(used, pids)), time.perf_counter()
            drain(receiver, until=began + SECONDS)
            return 100 * (sum(map(used, pids)) - before) / (time.perf_counter() - began)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def drain(receiver: socket.socket, until: float) -> None:
    """Take what is sent, a few at a time."""
    while time.perf_counter() < until:
        with contextlib.suppress(BlockingIOError):
            while True:
                receiver.recv(DATAGRAM_LIMIT)
        time.sleep(0.003)


def used(pid: int) -> float:
    """Seconds of CPU time; psutil's are too coarse for what is woken once a second."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def main(agents: int) -> None:
    """Print what was measured."""
    with LiveTree(tree(agents)) as running:
        status = running.wait_until_all_run(60)
        heartbeat, actors = status["pids"]["heartbeat"], [row["actor_pid"] for row in status["agents"]]
        before, before_actors, began = used(heartbeat), sum(map(used, actors)), time.perf_counter()
        time.sleep(SECONDS)
        took = time.perf_counter() - began
        fanning_in, pinging = 100 * (used(heartbeat) - before) / took, 100 * (sum(map(used, actors)) - before_actors) / took
        ours = [pings_a_second(running.launcher.paths.runtime / NOTIFY_SOCKET, actors) for _ in range(3)]
        bare = [bare_pings_a_second(actors) for _ in range(3)]
        print(f"heartbeat actor: {max(ours):,.0f} pings a second from {agents} agents; bare asyncio receiver: {max(bare):,.0f}")
        assert running.status()["refused_notifications"] == {"strangers": 0, "malformed": 0}
    print(
        f"one ping a second from each of {agents} agents: the heartbeat actor uses {fanning_in:.1f}% of a core, the senders {pinging:.1f}%;"
    )
    print(f"  as many bare processes that only sleep and send: {share_of_bare_senders(agents):.1f}%")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
