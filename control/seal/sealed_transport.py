"""Thespian's TCP transport, sealed: nothing is unpickled or said before the other end has proved that it has the tree's key.

Thespian makes every connection through `new_socket`, so that is where they become sealed ones. With the rest a process that proves
nothing costs next to nothing: connections in which nothing is proved are few, and short.
"""

import inspect
import select
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from thespian.actors import ActorAddress
from thespian.system import utilis
from thespian.system.timing import ExpirationTimer
from thespian.system.transport import TCPTransport as Tcp
from thespian.system.transport import Thespian__UpdateWork, TransmitIntent
from thespian.system.transport.IPBase import IPActorAddress

from suptree.actors.base.thespian_hooks import ActorTransport
from suptree.actors.errors import SuptreeError

from ..refusals import Why
from .ports import with_a_port
from .refused_frame_counter import RefusedFrameCounter
from .seal import Seal
from .sealed_socket import FRAME_LIMIT, SealedSocket
from .send_turns import SendTurns
from .waiting_room import WaitingRoom

_LISTEN_DEPTH = 1024
_ACCEPTED_PER_LOOK = 64
_PORT_WITHIN = 20.0
"""So many seconds a new process of the tree waits for a port; it is no actor yet, so that nobody waits for it but its supervisor."""


class SealedTransport(Tcp.TCPTransport, ActorTransport):  # type: ignore[misc]  # Thespian is untyped
    """What comes in and goes out of one process of the tree."""

    seal: ClassVar[Seal]
    report_socket: ClassVar[socket.socket]
    """Where it counts what was refused."""
    run_time: ExpirationTimer

    def __init__(self, init_type: Any, *args: Any) -> None:
        self._accepted: SealedSocket | None = None
        self._refused = RefusedFrameCounter(self.report_socket)
        self._turns = SendTurns(super()._schedulePreparedIntent)
        with_a_port(partial(super().__init__, init_type, *args), try_for=_PORT_WITHIN if isinstance(init_type, Tcp.TCPEndpoint) else 0)
        # Thespian's 100 are soon filled by strangers, and then the next process waits for a second.
        self.socket.listen(_LISTEN_DEPTH)
        self._arrival = select.poll()
        self._arrival.register(self.socket, select.POLLIN)
        self._room = WaitingRoom(self.myAddress, self._count)

    @property
    def inherited(self) -> set[int]:
        """The descriptors that were made before this process, and still belong to it."""
        return {self.report_socket.fileno()}

    def resting_on(self) -> list[int] | None:
        """The descriptors that Thespian would wait for now, without any limit; None where it has something to do, or a time to keep."""
        busy = (
            self._incomingEnvelopes,
            self._incomingSockets,
            self._transmitIntents,
            self._waitingTransmits,
            self._finished_intents,
            self._aTB_queuedPendingTransmits,
            self._activeWakeups,
            self._pendingWakeups,
            self._refused.has_unreported,
            hasattr(self, "_aborting_run"),
        )
        return None if any(busy) else [self.socket.fileno(), *(idle.socket.fileno() for idle in self._openSockets.values())]

    def external_transport_clone(self) -> "SealedTransport":
        """A transport of its own for one question to the system; Thespian would make an unsealed one."""
        routed = isinstance(self.myAddress.addressDetails, Tcp.RoutedTCPv4ActorAddress)
        return type(self)(Tcp.ExternalTransportCopy(), self._adminAddr, self.txOnly, routed)

    def serializer(self, intent: Any) -> bytes:
        """A message in Thespian's bytes. Raises ValueError when it is larger than any receiver would take."""
        message: bytes = super().serializer(intent)
        if len(message) > FRAME_LIMIT:
            raise ValueError(f"a message of {len(message)} bytes cannot be sent: {FRAME_LIMIT} is the most")
        return message

    # Connections

    def new_socket(self, op: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """A connection that is made or accepted, sealed."""
        if op is socket.socket:
            return super().new_socket(partial(SealedSocket, self.seal), *args, **kw)
        connection, address = super().new_socket(op, *args, **kw)
        self._accepted = SealedSocket.accepted(self.seal, connection)
        return self._accepted, address

    def protectedFileNumList(self) -> list[int]:  # noqa: N802  (this and what follows: Thespian's names)
        """The descriptors that are not a child's."""
        return list({*super().protectedFileNumList(), *self._room.descriptors, self._room.socket.fileno()})

    def _acceptNewIncoming(self) -> None:  # noqa: N802
        for _ in range(_ACCEPTED_PER_LOOK):
            self._accepted = None
            super()._acceptNewIncoming()
            if self._accepted is None:
                return
            connection, self._accepted = self._accepted, None
            del self._incomingSockets[connection.fileno()]
            if self._room.enter(connection):
                self._hear(connection)
            else:
                self._incomingSockets[self._room.socket.fileno()] = self._room
            if not self._arrival.poll(0):
                return

    def _hear(self, connection: SealedSocket) -> None:
        """The other end has proved that it has the key: it is listened to as Thespian would."""
        proved = Tcp.TCPIncomingPersistent(ActorAddress(None), connection)
        if self._handleReadableIncoming(proved, has_exclusive_flag=True):
            self._incomingSockets[connection.fileno()] = proved

    def _handlePossibleIncoming(self, incomingSocket: Any, fileno: int, closed: bool = False, has_exclusive_flag: bool = False) -> Any:  # noqa: N802, N803
        if incomingSocket is not self._room:
            return super()._handlePossibleIncoming(incomingSocket, fileno, closed=closed, has_exclusive_flag=has_exclusive_flag)
        # Only when there is something to read: at other times Thespian does not bear that there are new ones.
        if fileno == self._room.socket.fileno():
            for connection in self._room.leave():
                self._hear(connection)
        return self._room if self._room.send_the_slow_away() else None

    def _handleReadableIncoming(self, inc: Any, has_exclusive_flag: bool = False) -> Any:  # noqa: N802
        if self._has_come(inc.socket):
            return super()._handleReadableIncoming(inc, has_exclusive_flag=has_exclusive_flag)
        if inc.delay():
            return inc
        self._count(Why.TOO_SLOW)
        inc.close()
        return None

    def _has_come(self, connection: SealedSocket) -> bool:
        """Whether there is a message, or the end of the connection."""
        has_come = connection.pump()
        if connection.refused is not None:
            self._count(connection.refused)
        return has_come

    # Sending: one message at a time to each receiver

    def is_behind(self, address: ActorAddress) -> bool:
        """Whether that actor has not taken for a second what was sent to it last."""
        known = self._addressMgr.exportAddr(address)
        return known is None or self._turns.is_behind(Tcp.opsKey(known))

    def _schedulePreparedIntent(self, transmitIntent: Any, has_exclusive_flag: bool = False) -> None:  # noqa: N802, N803
        if isinstance(transmitIntent.message, Thespian__UpdateWork):
            super()._schedulePreparedIntent(transmitIntent, has_exclusive_flag=has_exclusive_flag)
        else:
            self._turns.take(Tcp.opsKey(transmitIntent.targetAddr), transmitIntent)

    def _canSendNow(self) -> bool:  # noqa: N802
        # Thespian has 20 under way, and what else there is to send waits for one of them: but all 20 may be to receivers that are silent.
        return True

    def close(self) -> None:
        """Release everything, and send nothing any more."""
        self._turns.close()
        super().close()

    # Sending: as Thespian does it, but what waits for the other end's proof waits as if for its acknowledgement

    def _next_XMIT_1(self, intent: Any) -> bool:  # noqa: N802
        goes_on = super()._next_XMIT_1(intent)
        if goes_on and intent.stage == self._XMITStepSendData and hasattr(intent, "socket") and not intent.socket.is_open:
            try:
                intent.socket.greet()
            except OSError:
                # Not connected yet, or never: the next step hears which.
                return True
            intent.stage = self._XMITStepWaitForAck
        return bool(goes_on)

    def _next_XMIT_2(self, intent: Any) -> bool:  # noqa: N802
        goes_on = super()._next_XMIT_2(intent)
        if not goes_on or not hasattr(intent, "socket"):
            return bool(goes_on)
        if intent.stage == self._XMITStepSendData and intent.socket.has_greeted and not intent.socket.is_open:
            intent.stage = self._XMITStepWaitForAck
        elif intent.stage == self._XMITStepShutdownWrite:
            return bool(self._nextTransmitStep(intent))
        return True

    def _next_XMIT_3(self, intent: Any) -> bool:  # noqa: N802
        try:
            if not intent.socket.flush():
                return True
        except OSError:
            return self._once_more(intent)
        return bool(super()._next_XMIT_3(intent))

    def _next_XMIT_4(self, intent: Any) -> bool:  # noqa: N802
        connection = intent.socket
        was_open = connection.is_open
        has_come = self._has_come(connection)
        if was_open:
            return bool(super()._next_XMIT_4(intent)) if has_come else True
        if has_come:
            return self._once_more(intent)
        if connection.is_open:
            intent.stage, intent.amtSent = self._XMITStepSendData, 0
            return bool(self._nextTransmitStep(intent))
        return True

    def _once_more(self, intent: Any) -> bool:
        """The connection is over: try again with another."""
        intent.backoffPause(True)
        intent.stage = self._XMITStepRetry
        return bool(self._nextTransmitStep(intent))

    # What was refused

    def _count(self, why: Why) -> None:
        self._refused.count(why)
        self._report_refusals()

    def _update_runtime(self, max_runtime: Any) -> None:
        super()._update_runtime(max_runtime)
        self._report_refusals()

    def _report_refusals(self) -> None:
        """Report what was refused when a report is due; otherwise let the wait for messages end when the report is due."""
        wait = self._refused.report()
        if wait is not None and (due := ExpirationTimer(wait)) < self.run_time:
            self.run_time = due


def bind_to(address: str) -> None:
    """Let Thespian listen at one address only: by itself it advertises the address that it is given, but binds every interface."""
    IPActorAddress.bindArgs = property(lambda own: ((address, own.sockname[1]),))


_HOOKS: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (Tcp.TCPTransport, "new_socket", ("self", "op", "args", "kw")),
    (Tcp.TCPTransport, "external_transport_clone", ("self",)),
    (Tcp.TCPTransport, "serializer", ("self", "intent")),
    (Tcp.TCPTransport, "_schedulePreparedIntent", ("self", "transmitIntent", "has_exclusive_flag")),
    (Tcp.TCPTransport, "_canSendNow", ("self",)),
    (Tcp.TCPTransport, "close", ("self",)),
    (TransmitIntent, "addCallback", ("self", "onSuccess", "onFailure")),
    (TransmitIntent, "expired", ("self",)),
    (TransmitIntent, "tx_done", ("self", "status")),
    (Tcp.TCPTransport, "_acceptNewIncoming", ("self",)),
    (Tcp.TCPTransport, "_handlePossibleIncoming", ("self", "incomingSocket", "fileno", "closed", "has_exclusive_flag")),
    (Tcp.TCPTransport, "protectedFileNumList", ("self",)),
    (Tcp.TCPTransport, "_handleReadableIncoming", ("self", "inc", "has_exclusive_flag")),
    (Tcp.TCPTransport, "_next_XMIT_1", ("self", "intent")),
    (Tcp.TCPTransport, "_next_XMIT_2", ("self", "intent")),
    (Tcp.TCPTransport, "_next_XMIT_3", ("self", "intent")),
    (Tcp.TCPTransport, "_next_XMIT_4", ("self", "intent")),
    (Tcp.TCPTransport, "_nextTransmitStep", ("self", "intent")),
    (Tcp.TCPTransport, "_update_runtime", ("self", "max_runtime")),
    (Tcp.TCPIncoming_Common, "delay", ("self", "current_time")),
    (utilis, "thesplog", ("msg", "args", "kw")),
    (utilis, "thesplog_control", ("baseLevel", "useLogging", "tmpFileMaxSize")),
)


def check_hooks() -> None:
    """Raise SuptreeError unless everything of Thespian that the seal takes hold of is as it was when the seal was made."""
    for owner, name, expected in _HOOKS:
        found = getattr(owner, name, None)
        if found is None or tuple(inspect.signature(found).parameters) != expected:
            raise SuptreeError(
                f"this Thespian has no {owner.__name__}.{name}({', '.join(expected)}), which the seal of the transport takes hold of: "
                "nothing was started; install the Thespian that suptree asks for"
            )
    if not isinstance(IPActorAddress.bindArgs, property):
        raise SuptreeError("this Thespian does not say where it binds (IPActorAddress.bindArgs): nothing was started")
