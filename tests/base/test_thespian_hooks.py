"""What our actors take hold of inside Thespian is looked for before a system starts."""

import pytest
from thespian.system.multiprocCommon import MultiProcReplicator

from suptree.actors.base.thespian_hooks import ActorTransport, ChildAddresses, check_actor_hooks
from suptree.actors.errors import SuptreeError
from suptree.control.seal.sealed_transport import SealedTransport


def test_this_thespian_has_all_of_it() -> None:
    check_actor_hooks()


def test_a_thespian_that_keeps_its_processes_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiProcReplicator, "_startChildActor", lambda self: self.child_processes)
    with pytest.raises(SuptreeError, match="this Thespian has no _child_procs in "):
        check_actor_hooks()


def test_the_sealed_transport_offers_what_actors_ask_of_it() -> None:
    assert ActorTransport in SealedTransport.__mro__
    assert frozenset() == SealedTransport.__abstractmethods__


def test_the_addresses_of_children_are_numbered_as_in_a_list_and_those_of_the_dead_take_no_room() -> None:
    addresses = ChildAddresses()
    for number in range(1000):
        addresses.append(None)
        assert number == len(addresses) - 1
        addresses[number] = f"address {number}"
        assert f"address {number}" == addresses[number]
        addresses.forget(number)
        addresses[number] = "heard of once more"
        assert None is addresses[number]
    assert (1000, 0) == (len(addresses), addresses.kept)
