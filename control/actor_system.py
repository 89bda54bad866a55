"""The Thespian system of a tree: on loopback alone, and dead when its launcher is."""

import contextlib
import multiprocessing
import os
import select
import signal
import socket
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from thespian.actors import ActorSystem
from thespian.system.multiprocTCPBase import ActorSystemBase
from thespian.system.transport.IPBase import IPActorAddress
from thespian.system.transport.TCPTransport import TCPEndpoint, TCPTransport

from suptree.actors.linux import die_with_parent

LOOPBACK = "127.0.0.1"
_RETRY_AFTER = timedelta(milliseconds=20)
_LOG_TO_STDERR = {
    "version": 1,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "level": "WARNING"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}


class _Transport(TCPTransport):  # type: ignore[misc]  # Thespian is untyped
    """Thespian's transport, which dies with its parent and does not wait long before it tries again."""

    def __init__(self, init_type: Any, *args: Any) -> None:
        if isinstance(init_type, TCPEndpoint):
            _hold_on_to_parent()
        super().__init__(init_type, *args)

    def scheduleTransmit(self, addressManager: Any, transmitIntent: Any, has_exclusive_flag: bool = False) -> None:  # noqa: N802, N803
        """Send a message; when the peer closed the connection, as it does when both send at once, try again soon, not after 35 s."""
        transmitIntent.transmit_retry_period = _RETRY_AFTER
        super().scheduleTransmit(addressManager, transmitIntent, has_exclusive_flag)


class _Base(ActorSystemBase):  # type: ignore[misc]
    transportType = _Transport  # noqa: N815  (Thespian's name)


def _hold_on_to_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101  (Thespian forks through multiprocessing)
    assert parent.pid is not None  # noqa: S101
    # The admin forks twice, and the process between leads its session; when that is gone, the launcher, a subreaper, is its parent.
    between = os.getsid(0)
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(between)
        # Asked once more: it may end at any moment, and nothing else is worth waiting for.
        if os.getppid() == between:
            select.select([pidfd], [], [])
        os.close(pidfd)
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent.pid:
        os._exit(1)


def _reserve_port() -> socket.socket:
    """A free port that nobody else is given while the socket is open; it does not listen, so that the admin may bind it as well."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((LOOPBACK, 0))
    return reserved


def start_actor_system(state_dir: Path) -> ActorSystem:
    """Start a Thespian system of our own on a free port; call it from a process without threads or event loop."""
    os.environ.update(
        THESPIAN_BASE_IPADDR=LOOPBACK,
        THESPLOG_FILE=str(state_dir / "thespian.log"),
        THESPIAN_MAX_PENDING_TRANSMITS="1000",
    )
    # Thespian advertises the address above but binds every interface; there is no option for it.
    IPActorAddress.bindArgs = property(lambda address: ((LOOPBACK, address.sockname[1]),))
    with _reserve_port() as reserved:
        system = SimpleNamespace(capabilities={"Admin Port": reserved.getsockname()[1], "Process Startup Method": "fork"})
        return ActorSystem(_Base(system, _LOG_TO_STDERR), transientUnique=True)
