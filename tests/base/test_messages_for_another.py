"""The port of an actor that is dead may be given to another actor, and messages for the dead one come there."""

from types import SimpleNamespace
from typing import Any

import pytest
from thespian.actors import ActorAddress

from suptree.actors.agent.agent_actor import AgentActor
from suptree.actors.base.messages import Ask, Attach, Begin, Context, Notified, Services, Stop, Tell, Unask
from suptree.actors.heartbeat.heartbeat_actor import HeartbeatActor
from suptree.actors.notify.notification import Notification
from suptree.actors.record.registry import RegistryActor
from suptree.supervisors.actor.supervisor_actor import SupervisorActor

BEGIN = Begin("a", 2, 0, None, Context("t", "run", ".", ".", shared_dir="."), Services())
SENDER = ActorAddress("somebody")
OTHERS = [("b", 2), ("a", 1), ("b", 1)]


class Life:
    """Notes what an agent is to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.done.append(name)


def agent() -> tuple[Any, Life]:
    """An agent's actor that has begun, without a process of its own."""
    actor: Any = object.__new__(AgentActor)
    life = Life()
    vars(actor).update(_incarnation=SimpleNamespace(begin=BEGIN, answer=lambda *_args, **_more: None), _life=life, ended=False)
    return actor, life


def say(actor: Any, life: tuple[str, int]) -> None:
    actor.on_stop(Stop(*life), SENDER)
    actor.on_tell(Tell(*life, "r1", "text"), SENDER)
    actor.on_ask(Ask(*life, "r2", "text"), SENDER)
    actor.on_attach(Attach(*life, "r3"), SENDER)
    actor.on_unask(Unask(*life, "r4"), SENDER)
    actor.on_notified(Notified(*life, Notification()), SENDER)


@pytest.mark.parametrize("other", OTHERS)
def test_an_agent_takes_what_is_for_it_and_nothing_that_is_for_another(other: tuple[str, int]) -> None:
    actor, life = agent()
    say(actor, other)
    assert [] == life.done
    say(actor, ("a", 2))
    assert ["stop", "tell", "ask", "attach", "unask", "hear"] == life.done


@pytest.mark.parametrize(("kind", "ends"), [(SupervisorActor, "shut_down"), (RegistryActor, "spawn"), (HeartbeatActor, "end")])
def test_supervisors_and_services_end_when_they_are_asked_to_and_not_when_another_is(kind: Any, ends: str) -> None:
    actor: Any = object.__new__(kind)
    done: list[str] = []

    def note(*work: Any) -> None:
        done.append(ends)
        for each in work:
            if hasattr(each, "close"):
                each.close()

    vars(actor).update({"begin": BEGIN, ends: note})
    for other in OTHERS:
        actor.on_stop(Stop(*other), SENDER)
    assert [] == done
    actor.on_stop(Stop("a", 2), SENDER)
    assert [ends] == done
