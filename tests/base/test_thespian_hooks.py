"""What our actors take hold of inside Thespian is looked for before a system starts."""

import pytest
from thespian.system.multiprocCommon import MultiProcReplicator

from suptree.actors.base.thespian_hooks import ActorTransport, check_actor_hooks
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
