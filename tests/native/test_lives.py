"""The parts of a native agent's life, each by itself: creating, serving and concluding give an Exit, or what the next part needs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suptree.actors.agent.confinement import CannotConfine
from suptree.actors.base.messages import Ask
from suptree.actors.errors import BudgetExceeded, InputRefused, QuotaExceeded
from suptree.actors.exits import CauseId, Exit, ExitClass
from suptree.actors.native.agent_errors import AgentErrors
from suptree.actors.native.checkpoint_file import CheckpointFile
from suptree.actors.native.checkpoint_schedule import CheckpointSchedule
from suptree.actors.native.concluding import conclude, shut_down
from suptree.actors.native.creating import Created, Plan, create
from suptree.actors.native.health_check import HealthCheck
from suptree.actors.native.serving import Serving
from suptree.actors.spec.agent_spec import HeartbeatSpec

LIMIT = 30.0


class Remembers:
    """An agent with checkpoints."""

    def __init__(self, *_arguments: Any) -> None:
        self.state: Any = "new"

    def checkpoint(self) -> Any:
        return self.state

    def restore(self, state: Any) -> None:
        if state == "broken":
            raise ValueError("no such state")
        self.state = state


class Limited:
    def __init__(self, *_arguments: Any) -> None:
        raise QuotaExceeded("no seat is free", 5)


def decline(*_arguments: Any) -> None:
    """Makes no agent."""


class Parts:
    """What the parts of a life are given, with what they say kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.condemned: list[tuple[ExitClass, str]] = []
        self.answers: list[tuple[str, str, Any]] = []
        self.errors = AgentErrors(self.notes.append, str)

    def plan(self, factory: str) -> Plan:
        name = f"{__name__}:{factory}"
        return Plan(name, ("a", "a", "", "", {}), CheckpointFile(str(self.folder), "a", 1, name), 60.0, LIMIT)

    async def create(self, factory: str, confine: Callable[[], None] = lambda: None) -> Created | Exit | None:
        return await create(
            self.plan(factory), errors=self.errors, confine=confine, report_status=self.notes.append, note=self.notes.append
        )

    def created(self, agent: Any) -> Created:
        store = CheckpointFile(str(self.folder), "a", 1, "f:f")
        schedule = CheckpointSchedule(agent, store, interval=60.0, limit=LIMIT, describe=self.errors.describe, say=self.notes.append)
        return Created(agent, schedule)

    def condemn(self, exit_class: ExitClass, _cause: CauseId | None, why: str) -> None:
        self.condemned.append((exit_class, why))


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def run(awaitable: Callable[[], Awaitable[Any]]) -> Any:
    async def in_time() -> Any:
        async with asyncio.timeout(LIMIT):
            return await awaitable()

    return asyncio.run(in_time())


def test_creating_gives_an_agent_with_its_last_state(parts: Parts) -> None:
    parts.plan("Remembers").store.write('"old"')
    created = run(lambda: parts.create("Remembers"))
    assert "old" == created.agent.state
    created.agent.update_heartbeat("busy")
    assert ["busy"] == parts.notes


@pytest.mark.parametrize("other", ["a.refused", "a.restoring", "a.new"])
def test_what_is_set_aside_of_one_agent_is_no_checkpoint_of_another(parts: Parts, other: str) -> None:
    neighbour = CheckpointFile(str(parts.folder), other, 1, "f:f")
    neighbour.write('"of the other"')
    of_a = CheckpointFile(str(parts.folder), "a", 1, "f:f")
    for _ in range(2):
        of_a.write('"of a"')
        assert ["of a"] == of_a.take(parts.notes.append)
        of_a.refuse("it is odd", parts.notes.append)
    of_a.forget()
    assert ["of the other"] == neighbour.take(parts.notes.append)


def test_creating_makes_another_agent_when_a_state_cannot_be_restored(parts: Parts) -> None:
    parts.plan("Remembers").store.write('"broken"')
    created = run(lambda: parts.create("Remembers"))
    assert "new" == created.agent.state
    assert "restore() raised ValueError: no such state" in parts.notes[0]


def test_creating_gives_nothing_where_the_factory_declines(parts: Parts) -> None:
    assert None is run(lambda: parts.create("decline"))


def test_creating_gives_the_exit_of_an_agent_that_cannot_begin(parts: Parts) -> None:
    def refuse() -> None:
        raise CannotConfine("user 'nobody': Operation not permitted")

    assert Exit(ExitClass.QUOTA, "no seat is free", "no seat is free", 5.0) == run(lambda: parts.create("Limited"))
    assert ExitClass.PERMANENT is run(lambda: parts.create("Missing")).exit_class
    assert Exit(ExitClass.PERMANENT, "user 'nobody': Operation not permitted") == run(lambda: parts.create("Remembers", refuse))


Script = Callable[[Serving], Awaitable[None]]


async def watch_only(_serving: Serving) -> None:
    pass


def serve(parts: Parts, agent: Any, script: Script = watch_only, *, soon: bool = False) -> Exit:
    """How an agent ended that served while a script ran; `soon` has its health asked immediately."""

    async def serving() -> Exit:
        ready = asyncio.Event()
        ready.set()
        health = HealthCheck(HeartbeatSpec(), ready, began=lambda: None, unwell=lambda why: parts.condemn(ExitClass.UNHEALTHY, None, why))
        must_end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        served = Serving(
            parts.created(agent),
            errors=parts.errors,
            health=health,
            must_end=must_end,
            end_over=lambda error: must_end.set_result(parts.errors.exit_of(error)),
            answer=lambda request, answer, value, _more, _ends: parts.answers.append((request, answer, value)),
        )
        ending = asyncio.ensure_future(served.end())
        await asyncio.sleep(0)
        if soon:
            health.ask_soon()
        await script(served)
        return await ending

    exit_: Exit = run(serving)
    return exit_


async def fail(error: BaseException) -> None:
    raise error


def test_serving_gives_how_run_ended(parts: Parts) -> None:
    async def work() -> None:
        pass

    assert Exit(ExitClass.NORMAL, "run() returned") == serve(parts, SimpleNamespace(run=work))
    failed = serve(parts, SimpleNamespace(run=lambda: fail(ValueError("no model"))))
    assert (ExitClass.FAILED, "ValueError: no model") == (failed.exit_class, failed.reason)


def test_serving_ends_over_an_error_in_a_message(parts: Parts) -> None:
    async def tell(serving: Serving) -> None:
        serving.tell("x")

    agent = SimpleNamespace(run=asyncio.Event().wait, handle=lambda _text: fail(BudgetExceeded("enough")))
    assert Exit(ExitClass.BUDGET, "enough", "enough") == serve(parts, agent, tell)


def test_serving_ends_over_a_quota_that_a_question_or_a_health_check_hit(parts: Parts) -> None:
    async def ask(serving: Serving) -> None:
        serving.ask(Ask("a", 1, "r", "how are you?"))

    limited = ExceptionGroup("both", [QuotaExceeded("enough", 5), ValueError()])
    quota = Exit(ExitClass.QUOTA, "enough", "enough", 5.0)
    assert quota == serve(parts, SimpleNamespace(run=asyncio.Event().wait, ask=lambda _text: fail(limited)), ask)
    assert [("r", "failed", {"message": "enough", "class": "quota", "retry_after": 5.0})] == parts.answers
    assert quota == serve(parts, SimpleNamespace(run=asyncio.Event().wait, health_check=lambda: fail(limited)), soon=True)
    assert [] == parts.condemned


def test_serving_condemns_an_agent_that_is_unwell_and_is_cancelled(parts: Parts) -> None:
    async def cancel(serving: Serving) -> None:
        while not parts.condemned:  # noqa: ASYNC110  (it is called, and nobody waits for it)
            await asyncio.sleep(0)
        serving.cancel()

    agent = SimpleNamespace(run=asyncio.Event().wait, health_check=lambda: False)
    assert Exit(ExitClass.FAILED, "its run() was cancelled") == serve(parts, agent, cancel, soon=True)
    assert [(ExitClass.UNHEALTHY, "health_check() returned False")] == parts.condemned


def test_serving_an_agent_without_methods_lasts_until_it_is_cancelled_and_refuses_messages(parts: Parts) -> None:
    async def talk(serving: Serving) -> None:
        with pytest.raises(InputRefused, match=r"no handle\(\)"):
            serving.tell("x")
        with pytest.raises(InputRefused, match=r"no ask\(\)"):
            serving.ask(Ask("a", 1, "r", "x"))
        serving.cancel()

    assert ExitClass.FAILED is serve(parts, object(), talk).exit_class


@pytest.mark.parametrize(
    ("how", "condemned", "kept"),
    [
        (Exit(ExitClass.NORMAL, "run() returned"), [], True),
        (Exit(ExitClass.QUOTA, "enough"), [], True),
        (Exit(ExitClass.BUDGET, "enough"), [(ExitClass.BUDGET, "enough")], True),
        (Exit(ExitClass.HUNG, "no answer"), [(ExitClass.HUNG, "no answer")], True),
        (Exit(ExitClass.FAILED, "ValueError"), [], False),
    ],
)
def test_concluding_keeps_what_is_sound_and_has_a_cause_recorded(
    parts: Parts, how: Exit, condemned: list[tuple[ExitClass, str]], kept: bool
) -> None:
    assert how == run(lambda: conclude(how, parts.created(Remembers()).checkpoints, parts.condemn))
    assert condemned == parts.condemned
    assert kept is (parts.folder / "checkpoints" / "a.json").exists()


def test_shutting_down_is_bounded_also_where_the_cancellation_is_kept(parts: Parts) -> None:
    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(LIMIT)
            except asyncio.CancelledError:
                continue

    async def stop() -> None:
        agent = SimpleNamespace(shutdown=stubborn)
        await shut_down(agent, parts.created(agent).checkpoints, 0.1, parts.notes.append)
        assert ["its shutdown took longer than 0.1 s"] == parts.notes

    run(stop)
