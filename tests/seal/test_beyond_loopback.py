"""A Thespian system at an address of its own, as a node among several has it: encrypted, and closed to strangers."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from suptree.control.seal.encrypted_seal import EncryptedSeal
from suptree.control.seal.seal import Seal
from suptree.control.seal.tree_key import tree_key
from tests.polling import poll_until

from .connections import OTHER_KEY
from .kernel_sockets import sockets_of
from .strangers import Target, expect_effect, say, sealed, thespian_frame

ADDRESS = "127.0.0.2"
ROOT = Path(__file__).parents[2]
_EVERY_PROTOCOL = 3
_QUIET = 0.5
_SO_RCVBUFFORCE = 33
_IPV4, _TCP = b"\x08\x00", 6


def whole_line(running: "subprocess.Popen[bytes]", log: Path) -> str | None:
    """What the program has written, once that is a line; AssertionError when the program has ended without one."""
    said, ended = log.read_text(), running.poll() is not None
    assert not ended or said.endswith("\n"), said
    return said if said.endswith("\n") else None


@contextmanager
def system(folder: Path, address: str) -> Iterator[list[psutil.Process]]:
    """Its processes, when its actors have talked."""
    with (folder / "log").open("w+") as log:
        command = [sys.executable, "-m", "tests.seal.relay", str(folder), address]
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        process = psutil.Process(running.pid)
        try:
            said = poll_until(lambda: whole_line(running, folder / "log"), 30, (folder / "log").read_text)
            assert said is not None and json.loads(said)["heard"], said
            processes = [process, *process.children(recursive=True)]
            yield processes
        finally:
            running.communicate(timeout=30)
    assert ([], []) == (psutil.wait_procs(processes, timeout=10)[1], process.children() if process.is_running() else [])


def targets(processes: list[psutil.Process], folder: Path) -> list[Target]:
    key = tree_key(folder)
    listening = [one for one in sockets_of(process.pid for process in processes) if one.listens]
    return [Target((one.address, one.port), str(one.pid), key, folder / f"canary {one.pid}") for one in listening]


def test_a_system_at_an_address_is_heard_there_alone_and_by_its_own_alone(tmp_path: Path) -> None:
    with system(tmp_path, ADDRESS) as processes:
        attacked = targets(processes, tmp_path)
        # The admin, the logger, and two actors.
        assert [ADDRESS] * 4 == [target.address[0] for target in attacked]
        for target in attacked:
            thespian_frame(target)
            sealed(target, EncryptedSeal(OTHER_KEY))
            # The tree's own key, but the seal that does not hide.
            sealed(target, Seal(target.key))
            assert not target.canary.exists()
        for target in attacked:
            said = sealed(target, EncryptedSeal(target.key), again=1)
            expect_effect(target)
            say(target, said)
            assert not target.canary.exists()


@contextmanager
def listener_in() -> Iterator[socket.socket]:
    """A socket that hears everything that goes over loopback."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL)) as tap:
        # Whatever the machine permits others: it is read later, and somebody else may be talking too.
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 * 1024 * 1024)
        tap.bind(("lo", 0))
        tap.settimeout(_QUIET)
        yield tap


def ends(packet: bytes) -> set[tuple[str, int]]:
    """Both ends of the connection that a packet belongs to; none if it is not TCP over IPv4."""
    ip = packet[14:]
    if packet[12:14] != _IPV4 or ip[9] != _TCP:
        return set()
    ports = ip[4 * (ip[0] & 15) :]
    return {(socket.inet_ntoa(ip[12:16]), int.from_bytes(ports[:2])), (socket.inet_ntoa(ip[16:20]), int.from_bytes(ports[2:4]))}


@pytest.mark.skipif(os.getuid() != 0, reason="only root hears what goes over an interface")
@pytest.mark.parametrize(("address", "readable"), [(ADDRESS, False), ("127.0.0.1", True)])
def test_a_stranger_that_listens_in_reads_nothing_beyond_loopback(tmp_path: Path, address: str, readable: bool) -> None:
    with listener_in() as tap:
        with system(tmp_path, address) as processes:
            ours = {target.address for target in targets(processes, tmp_path)}
        heard = bytearray()
        deadline = time.monotonic() + 10
        with suppress(TimeoutError):
            while time.monotonic() < deadline:
                packet = tap.recv(65536)
                if ours & ends(packet):
                    heard += packet
    assert (True, readable) == (b"suptree seal" in heard, b"my secret" in heard)
