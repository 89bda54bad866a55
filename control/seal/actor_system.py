"""The Thespian system of a tree: sealed, on loopback alone unless it is given an address, and dead when its launcher is."""

import contextlib
import multiprocessing
import os
import select
import signal
import socket
import weakref
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from thespian.actors import ActorSystem, ActorSystemException
from thespian.system.multiprocTCPBase import ActorSystemBase
from thespian.system.transport.TCPTransport import TCPEndpoint

from suptree.actors.base.thespian_hooks import check_actor_hooks
from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.linux import die_with_parent
from suptree.actors.kernel.loopback import fault_of_loopback

from .refused_frame_counter import reporting_pair
from .seal import Seal
from .seal_proof import prove_that_the_unsealed_is_refused
from .sealed_transport import SealedTransport, bind_to, check_hooks
from .thespian_log import hear_thespian
from .tree_key import tree_key

LOOPBACK = "127.0.0.1"
_RETRY_AFTER = timedelta(milliseconds=20)
_LOG_TO_STDERR = {
    "version": 1,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "level": "WARNING"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}


class _Transport(SealedTransport):
    """The sealed transport, which dies with its parent and does not wait long before it tries again."""

    reserved: ClassVar[socket.socket]
    _made: ClassVar[weakref.WeakSet[Any]] = weakref.WeakSet()

    def __init__(self, init_type: Any, *args: Any) -> None:
        if isinstance(init_type, TCPEndpoint):
            # A child that has just been forked: where its parent listens, it must not.
            for inherited in (self.reserved, *(transport.socket for transport in self._made)):
                with contextlib.suppress(OSError):
                    inherited.close()
            _hold_on_to_parent()
        super().__init__(init_type, *args)
        self._made.add(self)

    def scheduleTransmit(self, addressManager: Any, transmitIntent: Any, has_exclusive_flag: bool = False) -> None:  # noqa: N802, N803
        """Send a message; when the peer closed the connection, as it does when both send together, try again soon, not after 35 s."""
        transmitIntent.transmit_retry_period = _RETRY_AFTER
        super().scheduleTransmit(addressManager, transmitIntent, has_exclusive_flag)


@dataclass
class TreeSystem:
    """The Thespian system of a tree; at `refused_frames` its processes tell what they have refused."""

    thespian: ActorSystem
    refused_frames: socket.socket
    _other_end: socket.socket | None = None

    def stop_listening(self) -> None:
        """Close the launcher's own way in: what is still to be heard comes through connections that it made itself."""
        transport = self.thespian._systemBase.transport
        transport.socket.close()
        # Thespian waits for this as well; it never has anything to say.
        transport.socket, self._other_end = socket.socketpair()


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


def _seal_for(address: str, key: bytes) -> Seal:
    if address == LOOPBACK:
        return Seal(key)
    from .encrypted_seal import EncryptedSeal  # noqa: PLC0415

    return EncryptedSeal(key)


def _reserve_port(address: str) -> socket.socket:
    """A free port that nobody else is given while the socket is open; it does not listen, so that the admin may bind it as well."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((address, 0))
    return reserved


def start_actor_system(state_dir: Path, address: str = LOOPBACK) -> TreeSystem:
    """Start a Thespian system of our own on a free port, sealed with the key of the tree whose state is kept there.

    Call it from a process without threads or event loop. Raises SuptreeError, and lets no actor run, unless the seal holds.
    """
    os.environ["THESPIAN_BASE_IPADDR"] = address
    check_actor_hooks()
    check_hooks()
    hear_thespian()
    bind_to(address)
    refused_frames, report_socket = reporting_pair()
    seal = _seal_for(address, tree_key(state_dir))
    with _reserve_port(address) as reserved:
        port = reserved.getsockname()[1]
        transport = type("Transport", (_Transport,), {"seal": seal, "report_socket": report_socket, "reserved": reserved})
        base = type("Base", (ActorSystemBase,), {"transportType": transport})
        system = SimpleNamespace(capabilities={"Admin Port": port, "Process Startup Method": "fork"})
        try:
            thespian = ActorSystem(base(system, _LOG_TO_STDERR), transientUnique=True)
        except ActorSystemException as error:
            raise SuptreeError(f"Thespian {version('thespian')} could not be started: {fault_of_loopback(address) or error}") from error
    prove_that_the_unsealed_is_refused((address, port), state_dir, refused_frames)
    return TreeSystem(thespian, refused_frames)
