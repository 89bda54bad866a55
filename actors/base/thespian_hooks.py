"""What our actors take hold of inside Thespian, beside its public names; it is checked before a system starts."""

import multiprocessing.process
from abc import abstractmethod
from collections.abc import Collection
from typing import Any, Protocol

from thespian.actors import Actor, ActorAddress
from thespian.system.multiprocCommon import ChildInfo, MultiProcReplicator
from thespian.system.systemCommon import systemCommonBase

from ..errors import SuptreeError

# A class of Thespian, a method of it, and the attribute that the method uses.
_USED_BY: tuple[tuple[Any, str, str], ...] = (
    (Actor, "createActor", "_myRef"),
    (MultiProcReplicator, "_startChildActor", "_child_procs"),
    (MultiProcReplicator, "_startChildActor", "ChildInfo"),
    (ChildInfo, "__init__", "childProc"),
    (systemCommonBase, "__init__", "transport"),
    (systemCommonBase, "__init__", "_receiveQueue"),
)


class ActorTransport(Protocol):
    """What an actor asks of the transport that its messages go through.

    The sealed transport inherits this, so that mypy compares the two, and a transport that lacks something of it cannot be made.
    """

    @property
    @abstractmethod
    def inherited(self) -> Collection[int]:
        """The descriptors that were made before this process, and are used in it."""

    @abstractmethod
    def resting_on(self) -> list[int] | None:
        """The descriptors that Thespian would wait for now, without any limit; None where it has something to do, or a time to keep."""

    @abstractmethod
    def is_behind(self, address: ActorAddress) -> bool:
        """Whether that actor has not taken for a second what was sent to it last."""

    @abstractmethod
    def childResetFileNumList(self) -> Collection[int]:  # noqa: N802  (Thespian's name)
        """The descriptors that a process which was just forked needs of the transport."""


def transport_of(actor: Actor) -> ActorTransport:
    """The transport of the process that an actor lives in."""
    transport: ActorTransport = actor._myRef.transport
    return transport


def has_messages(actor: Actor) -> bool:
    """Whether Thespian has received a message that it has not handed to the actor yet."""
    return bool(actor._myRef._receiveQueue)


def last_forked(actor: Actor) -> multiprocessing.process.BaseProcess | None:
    """The process of the child that an actor has created last. Thespian keeps those processes; there is no public way to them."""
    # There is no list before the first child.
    processes = vars(actor._myRef).get("_child_procs") or [None]
    return None if processes[-1] is None else processes[-1].childProc


def check_actor_hooks() -> None:
    """Raise SuptreeError unless what our actors take hold of in Thespian is where it was when they were written."""
    for owner, method, attribute in _USED_BY:
        function = vars(owner).get(method)
        if function is None or attribute not in function.__code__.co_names:
            raise SuptreeError(
                f"this Thespian has no {attribute} in {owner.__name__}.{method}, which every actor takes hold of: "
                "nothing was started; install the Thespian that suptree asks for"
            )
