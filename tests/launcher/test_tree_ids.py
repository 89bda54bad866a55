"""An id stands once in a tree, whatever way it could come in a second time."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from suptree.actors.errors import AlreadyPresent, AlreadyRunning, SuptreeError
from suptree.actors.events.picture import Picture, Row
from suptree.control.api import api
from suptree.control.api.tree_ids import TreeIds, ids_of
from suptree.control.client.client import Client
from suptree.control.trees.paths import TreePaths
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.supervisors.config.wire import encode_child
from suptree.supervisors.spec.child_spec import ChildSpec, RestartType, SupervisorFlags
from suptree.supervisors.spec.ids import ROOT
from suptree.supervisors.spec.tree_spec import SupervisorSpec
from suptree.testing import LiveTree
from tests.polling import poll_until_async

READY_AT_THE_GATE = Path(__file__).parents[1] / "programs" / "ready_at_the_gate.py"

TREE = """
[tree]
name = "once"
[supervisors.root]
max_restarts = 50
within = 60
[supervisors.first]
[supervisors.second]
[agents.x]
type = "process_wrapper"
supervisor = "first"
command = "sleep"
args = ["1000000"]
"""


STARTS_SLOWLY = """
[tree]
name = "slowly"
[agents.slow]
type = "process_wrapper"
command = "python3"
args = ["-SE", PROGRAM, GATE]
ready = "notify"
heartbeat = { startup_timeout = 60 }
[supervisors.first]
[agents.x]
type = "process_wrapper"
supervisor = "first"
command = "sleep"
args = ["1000000"]
"""


def agent(child_id: str, restart: str = "permanent", **config: Any) -> ChildSpec:
    given = {"command": "sleep", "args": ["1000000"], "restart": restart, **config}
    return agent_child_from_config(child_id, "process_wrapper", given, "/")


def group(child_id: str, *children: ChildSpec) -> ChildSpec:
    return ChildSpec(id=child_id, start=SupervisorSpec(id=child_id, flags=SupervisorFlags(), children=children))


class Known:
    """The ids of a tree whose file has `x` below `first`."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.ids = TreeIds(SupervisorSpec(id="root", children=(group("first", agent("x")), group("second"))), lambda: self.rows)

    def taken(self, supervisor: str, spec: ChildSpec) -> tuple[type[SuptreeError], str] | None:
        ids = ids_of(supervisor, spec)
        try:
            self.ids.keep(ids)
        except SuptreeError as refusal:
            return type(refusal), str(refusal).partition(":")[0]
        self.ids.let_go(ids)
        return None

    def show(self, child_id: str, supervisor: str, **fields: Any) -> None:
        self.rows |= Picture([{"id": child_id, "supervisor": supervisor, "status": "crashed", **fields}]).rows


def test_what_a_spec_names_is_below_its_own_supervisor_alone_whether_there_is_a_row_or_not() -> None:
    known = Known()
    in_the_file = AlreadyRunning, "'x' is in the spec of supervisor 'first', which starts it"
    assert in_the_file == known.taken("second", agent("x"))
    assert in_the_file == known.taken("root", group("other", agent("y"), agent("x")))
    assert known.taken("first", agent("x")) is None
    known.show("x", "first", deleted=True)
    assert in_the_file == known.taken("second", agent("x"))


def test_what_a_client_gave_with_a_supervisor_is_that_supervisors_until_it_is_deleted() -> None:
    known = Known()
    known.ids.has_added("root", group("team", group("desk", agent("a"))))
    known.ids.has_added("desk", agent("b"))
    assert (AlreadyRunning, "'a' is in the spec of supervisor 'desk', which starts it") == known.taken("root", agent("a"))
    known.ids.has_deleted("desk")
    assert [True, False] == [known.taken("root", agent(child)) is None for child in "ba"]
    known.ids.has_deleted("team")
    assert [True] * 3 == [known.taken("root", agent(child)) is None for child in ("a", "b", "desk")]


def test_a_child_that_is_down_is_deleted_before_it_begins_elsewhere_unless_it_was_temporary() -> None:
    known = Known()
    for restart in RestartType:
        known.ids.has_added("first", agent(restart.value, restart.value))
        known.show(restart.value, "first")
    down = "is down, below supervisor 'first'"
    assert [(AlreadyPresent, f"'permanent' {down}"), (AlreadyPresent, f"'transient' {down}"), None] == [
        known.taken("second", agent(restart.value)) for restart in RestartType
    ]
    # Only what was asked for itself can be deleted and asked for again.
    assert (AlreadyRunning, f"'permanent' {down}") == known.taken("second", group("team", agent("permanent")))
    known.ids.has_deleted("permanent")
    assert known.taken("second", agent("permanent")) is None
    known.show("temporary", "first", until=1.0)
    assert (AlreadyRunning, "'temporary' is about to be started again, below supervisor 'first'") == known.taken("root", agent("temporary"))


def test_an_id_is_kept_while_a_request_about_it_is_under_way() -> None:
    known = Known()
    ids = ids_of("first", agent("y"))
    known.ids.keep(ids)
    known.ids.keep(ids)
    kept = AlreadyRunning, "'y' is being started or deleted, below supervisor 'first'"
    assert (None, kept) == (known.taken("first", agent("y")), known.taken("second", agent("y")))
    known.ids.let_go(ids)
    assert kept == known.taken("second", agent("y"))
    known.ids.let_go(ids)
    assert known.taken("second", agent("y")) is None


def test_an_id_is_kept_for_a_request_that_no_client_waits_for_any_more_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_ASK_LIMIT", 0.05)
    answered = asyncio.Event()

    async def answer(_operation: str, target: str, *_: Any, **__: Any) -> dict[str, Any]:
        if target == "first":
            await answered.wait()
        return {"answer": "refused" if target == "first" else "ok", "value": None, "seq": 1}

    async def ask() -> list[int]:
        app = api.make_app(cast(Any, SimpleNamespace(link=SimpleNamespace(picture=Picture(), ask=answer), root=None)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://suptree") as client:
            bodies = [{"spec": encode_child(agent("y")), "supervisor": above} for above in ("first", "second")]
            statuses = [(await client.post("/agents", json=body)).status_code for body in bodies]
            answered.set()
            await asyncio.sleep(0)
            return [*statuses, *[(await client.post("/agents", json=body)).status_code for body in reversed(bodies)]]

    # In the end it is free for the second, and then the second has it.
    assert [504, 409, 200, 409] == asyncio.run(ask())


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    with LiveTree(TREE) as tree:
        yield tree


def post(tree: LiveTree, path: str, body: Any) -> httpx.Response:
    """As `curl` asks, and not our client."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(tree.launcher.paths.control_socket)), timeout=60) as http:
        return http.post(f"http://suptree{path}", json=body)


async def outcome(request: Awaitable[Any]) -> str:
    try:
        await request
    except SuptreeError as refusal:
        return str(refusal)
    return "ok"


async def begin(client: Client, above: str) -> None:
    await client.start_new(agent("y", "temporary"), above)


def slow(child_id: str) -> ChildSpec:
    """It is never ready."""
    return agent(child_id, "temporary", ready="notify", heartbeat={"startup_timeout": 30})


def test_of_two_that_ask_for_an_id_below_two_supervisors_one_gets_it(tree: LiveTree) -> None:
    async def ask(client: Client) -> list[str]:
        # While it starts, a client that asks `first` for another child waits.
        blocks = asyncio.ensure_future(outcome(client.start_new(slow("blocks"), "first")))
        async for event in client.events():
            if event["event"] == "agent_started" and event["id"] == "blocks":
                break
        asked = [asyncio.ensure_future(outcome(client.start_new(agent("y", "temporary"), above))) for above in ("first", "second")]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        await client.stop("blocks")
        await blocks
        return [await each for each in asked]

    said = tree.ask(ask)
    assert 1 == said.count("ok")
    assert said[said.index("ok") - 1].endswith("an id stands once in a tree")
    (row,) = [row for row in tree.status()["agents"] if row["id"] == "y"]
    assert ["first", "second"][said.index("ok")] == row["supervisor"]
    # One that was temporary is nobody's when it has ended.
    tree.ask(lambda client: client.stop("y"))
    for above in ("first", "second"):
        tree.ask(partial(begin, above=above))
        assert above == tree.agent("y")["supervisor"]
        tree.ask(lambda client: client.stop("y"))


def test_an_id_of_a_supervisor_that_is_down_does_not_begin_below_another(tree: LiveTree) -> None:
    tree.ask(lambda client: client.stop("first"))
    with pytest.raises(AlreadyRunning, match="'x' is in the spec of supervisor 'first', which starts it"):
        tree.ask(lambda client: client.start_new(agent("x"), "second"))
    tree.ask(lambda client: client.start("first"))
    assert ("running", "first") == ((row := tree.agent("x"))["status"], row["supervisor"])


def test_a_child_that_was_stopped_begins_below_another_supervisor_when_it_has_been_deleted(tree: LiveTree) -> None:
    tree.ask(lambda client: client.start_new(agent("z"), "first"))
    tree.ask(lambda client: client.stop("z"))
    with pytest.raises(AlreadyPresent, match=r"^'z' is down, below supervisor 'first': start it there, or delete it first: an id stands"):
        tree.ask(lambda client: client.start_new(agent("z"), "second"))
    tree.ask(lambda client: client.delete("z"))
    tree.ask(lambda client: client.start_new(agent("z"), "second"))
    assert "second" == tree.agent("z")["supervisor"]


def test_a_spec_with_an_id_twice_is_refused_and_the_tree_goes_on(tree: LiveTree) -> None:
    nested = group("s9", group("s9"))
    answer = post(tree, "/agents", {"spec": encode_child(nested)})
    assert (400, "not a child spec: s9: duplicate child id") == (answer.status_code, answer.json()["message"])
    answer = post(tree, "/agents", {"spec": encode_child(group("s8", agent("w"), group("s7", agent("w"))))})
    assert (400, "not a child spec: w: duplicate child id") == (answer.status_code, answer.json()["message"])


@pytest.mark.parametrize("operation", ["stop", "delete", "terminate_child", "delete_child"])
def test_the_root_is_neither_stopped_nor_deleted_alone(tree: LiveTree, operation: str) -> None:
    answer = post(tree, f"/agents/{ROOT}/{operation}", {})
    assert (409, "'root' is the whole tree: `suptree down` stops it") == (answer.status_code, answer.json()["message"])
    assert 404 == post(tree, f"/agents/top/{operation}", {}).status_code


def test_nothing_begins_beside_the_services(tree: LiveTree) -> None:
    for above, said in (("top", "below 'top' are the services"), ("registry", "registry is no supervisor")):
        answer = post(tree, "/agents", {"spec": encode_child(agent("n")), "supervisor": above}).json()
        assert said in str(answer.get("message", answer.get("value")))


def test_while_the_tree_of_a_file_starts_its_ids_are_taken(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    tree = LiveTree(STARTS_SLOWLY.replace("PROGRAM", json.dumps(str(READY_AT_THE_GATE))).replace("GATE", json.dumps(str(gate))))

    async def ask() -> str:
        socket = TreePaths.of(tree.name, tree.home).control_socket
        await poll_until_async(socket.exists, 30)
        async with Client(socket) as client:
            async for event in client.events():
                if event["event"] == "agent_started" and event["id"] == "slow":
                    break
            return await outcome(client.start_new(agent("x"), "root"))

    with ThreadPoolExecutor(1) as threads:
        entered = threads.submit(tree.__enter__)
        try:
            assert "'x' is in the spec of supervisor 'first', which starts it: an id stands once in a tree" == asyncio.run(ask())
        finally:
            gate.touch()
            entered.result(60)
            with contextlib.closing(contextlib.ExitStack()) as stack:
                stack.push(tree.__exit__)
                assert "first" == tree.agent("x")["supervisor"]
