"""The sockets of processes, as the kernel's own tables have them."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")
_INODE = {"unix": 6, "netlink": 9, "packet": 8}
_LISTENS = "0A"
_ACCEPTS = 0x10000


@dataclass(frozen=True, slots=True)
class KernelSocket:
    """One open socket of one process. Of an internet socket `address` and `port` are its own; of a Unix one `address` is its path."""

    pid: int
    family: str
    address: str
    port: int = 0
    listens: bool = False


def sockets_of(pids: Iterable[int]) -> list[KernelSocket]:
    """Every socket that these processes have open; one that is in no table of the kernel has the family `unknown`."""
    tables = _read_tables()
    found = [(pid, inode) for pid in pids for inode in _inodes(pid)]
    return [KernelSocket(pid, *tables.get(inode, ("unknown", str(inode)))) for pid, inode in found]


def _inodes(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH115
                if target.startswith("socket:["):
                    yield int(target[8:-1])


def _read_tables() -> dict[int, tuple[str, str, int, bool]]:
    found: dict[int, tuple[str, str, int, bool]] = {}
    for table in _TABLES:
        for fields in _lines(table):
            address, _, port = fields[1].partition(":")
            found[int(fields[9])] = (table, _address(address), int(port, 16), fields[3] == _LISTENS)
    for table, column in _INODE.items():
        for fields in _lines(table):
            path = fields[7] if table == "unix" and len(fields) > 7 else ""
            found[int(fields[column])] = (table, path, 0, table == "unix" and int(fields[3], 16) & _ACCEPTS != 0)
    return found


def _lines(table: str) -> Iterator[list[str]]:
    path = Path("/proc/net") / table
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            yield line.split()


def _address(text: str) -> str:
    # Words of 32 bits, each in the machine's own order.
    words = bytes.fromhex(text)
    packed = b"".join(struct.pack("!I", word) for (word,) in struct.iter_unpack("=I", words))
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)
