"""What our actors take hold of inside Thespian, beside its public names; it is checked before a system starts."""

import multiprocessing.process
from abc import abstractmethod
from collections.abc import Collection
from typing import Any, Protocol

from thespian.actors import Actor, ActorAddress
from thespian.system.addressManager import ActorAddressManager, ActorLocalAddress
from thespian.system.multiprocCommon import ChildInfo, MultiProcReplicator
from thespian.system.systemCommon import AddressWaitTransmits, systemCommonBase
from thespian.system.transport import SendStatus

from ..errors import SuptreeError

# A class of Thespian, a method of it, and the attribute that the method uses.
_USED_BY: tuple[tuple[Any, str, str], ...] = (
    (Actor, "createActor", "_myRef"),
    (MultiProcReplicator, "_startChildActor", "_child_procs"),
    (MultiProcReplicator, "_startChildActor", "ChildInfo"),
    (ChildInfo, "__init__", "childProc"),
    (systemCommonBase, "__init__", "transport"),
    (systemCommonBase, "__init__", "_receiveQueue"),
    (systemCommonBase, "__init__", "_addrManager"),
    (systemCommonBase, "__init__", "_awaitingAddressUpdate"),
    (systemCommonBase, "_retryPendingChildOperations", "remove_intents_for_address"),
    (AddressWaitTransmits, "remove_intents_for_address", "_awt"),
    (ActorAddressManager, "__init__", "_managed"),
    (ActorAddressManager, "createLocalAddress", "_managed"),
    (ActorAddressManager, "associateUseableAddress", "_managed"),
    (ActorAddressManager, "exportAddr", "_managed"),
    (ActorLocalAddress, "__init__", "addressInstanceNum"),
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


class ChildAddresses:
    """The addresses of an actor's children, by number, as Thespian uses its list of them, which grows with each child that ever was.

    Here what is forgotten takes no room, and stays forgotten when the child is heard of once more.
    """

    def __init__(self) -> None:
        self._count = 0
        self._kept: dict[int, ActorAddress | None] = {}

    @property
    def kept(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def append(self, address: ActorAddress | None) -> None:
        """One more child, whose address may not be known yet."""
        self._kept[self._count] = address
        self._count += 1

    def forget(self, number: int) -> None:
        """That child is dead."""
        self._kept.pop(number, None)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> ActorAddress | None:
        return self._kept.get(number)

    def __setitem__(self, number: int, address: ActorAddress) -> None:
        if number in self._kept:
            self._kept[number] = address


def keep_only_living_children(actor: Actor) -> None:
    """From now on the addresses of dead children can be forgotten; to be called before the actor has any child."""
    actor._myRef._addrManager._managed = ChildAddresses()


def forget_child(actor: Actor, address: ActorAddress) -> None:
    """A child, by the address that `createActor` gave it, is dead: forget that address, and give up what waits until the child is up."""
    for intent in actor._myRef._awaitingAddressUpdate.remove_intents_for_address(address):
        intent.tx_done(SendStatus.Failed)
    actor._myRef._addrManager._managed.forget(address.addressDetails.addressInstanceNum)


def check_actor_hooks() -> None:
    """Raise SuptreeError unless what our actors take hold of in Thespian is where it was when they were written."""
    for owner, method, attribute in _USED_BY:
        function = vars(owner).get(method)
        if function is None or attribute not in function.__code__.co_names:
            raise SuptreeError(
                f"this Thespian has no {attribute} in {owner.__name__}.{method}, which every actor takes hold of: "
                "nothing was started; install the Thespian that suptree asks for"
            )
