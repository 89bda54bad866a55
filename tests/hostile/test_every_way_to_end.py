"""Each hostile program is stopped, killed, restarted, and loses its actor, its supervisor, its launcher: nothing of it is left."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

import pytest

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.cgroup import OFF_VARIABLE, make_run_groups, run_groups
from suptree.control.client.client import Client
from suptree.testing import LiveTree, kill

from .hostile_fleet import FLEET, SETTLE, Ledger, tree

STAYING = {agent for agent, hostile in FLEET.items() if hostile.stays}


@pytest.fixture(scope="module", params=["with cgroups", "without cgroups"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveTree, Ledger]]:
    groups = make_run_groups("probe")
    groups.remove()
    if request.param == "with cgroups" and groups.unified is None:
        pytest.skip("no cgroup v2 hierarchy is writable here")
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OFF_VARIABLE, "off" if request.param == "without cgroups" else "auto")
        with LiveTree(tree(ledger.folder)) as running:
            yield running, ledger
    ledger.wait_until_gone(ledger.signatures())
    assert [] == ledger.overlaps()
    for run_id in running.run_ids:
        assert not run_groups(run_id).exist
    assert not running.launcher.paths.runtime.exists()


@pytest.fixture
def hostile(fleet: tuple[LiveTree, Ledger]) -> tuple[LiveTree, Ledger]:
    """The fleet, with every agent that stays running."""
    running, ledger = fleet
    ledger.wait_until_signed(set(FLEET))
    each(running, lambda client, agent: client.start(agent))
    running.wait_until(lambda status: all(row["status"] == "running" for row in status["agents"] if row["id"] in STAYING), SETTLE)
    return running, ledger


def each(running: LiveTree, act: Callable[[Client, str], Awaitable[object]]) -> None:
    """Do something to every agent of the fleet, together."""

    async def refused_or_done(client: Client, agent: str) -> None:
        # One that waits for its next start cannot be ended, or has begun meanwhile.
        with contextlib.suppress(SuptreeError):
            await act(client, agent)

    async def all_of_them(client: Client) -> None:
        await asyncio.gather(*(refused_or_done(client, agent) for agent in FLEET))

    running.ask(all_of_them)


def pids_of(running: LiveTree, kind: str, field: str) -> list[int]:
    return [row[field] for row in running.status()[kind] if row[field] is not None]


def expect_new_incarnations(running: LiveTree, ledger: Ledger, act: Callable[[], object]) -> None:
    """After `act` every agent that stays runs again in a new incarnation, and nothing of the old ones is left."""
    before = {row["id"]: row["incarnation"] for row in running.status()["agents"]}
    old = ledger.left()
    act()
    running.wait_until(
        lambda status: all(
            row["incarnation"] > before[row["id"]] and row["status"] == "running" for row in status["agents"] if row["id"] in STAYING
        ),
        SETTLE,
    )
    ledger.wait_until_gone({signature for signature in old if signature.agent in STAYING})


def test_stop(hostile: tuple[LiveTree, Ledger]) -> None:
    running, ledger = hostile
    each(running, lambda client, agent: client.stop(agent))
    ledger.wait_until_gone(ledger.signatures())
    assert {"stopped", "crashed"} >= {row["status"] for row in running.status()["agents"]}


def test_kill(hostile: tuple[LiveTree, Ledger]) -> None:
    running, ledger = hostile
    each(running, lambda client, agent: client.stop(agent, graceful=False))
    ledger.wait_until_gone(ledger.signatures())


def test_restart(hostile: tuple[LiveTree, Ledger]) -> None:
    running, ledger = hostile
    expect_new_incarnations(running, ledger, lambda: each(running, lambda client, agent: client.restart(agent)))


def test_sigkill_of_the_programs(hostile: tuple[LiveTree, Ledger]) -> None:
    running, ledger = hostile

    def act() -> None:
        for pid in pids_of(running, "agents", "pid"):
            with contextlib.suppress(ProcessLookupError):
                kill(pid)

    expect_new_incarnations(running, ledger, act)


def test_sigkill_of_the_actors(hostile: tuple[LiveTree, Ledger]) -> None:
    running, ledger = hostile

    def act() -> None:
        for pid in pids_of(running, "agents", "actor_pid"):
            with contextlib.suppress(ProcessLookupError):
                kill(pid)

    expect_new_incarnations(running, ledger, act)


def test_sigkill_of_the_supervisors(hostile: tuple[LiveTree, Ledger]) -> None:
    running, ledger = hostile

    def act() -> None:
        for row in running.status()["supervisors"]:
            if row["id"] != "root":
                kill(row["actor_pid"])

    expect_new_incarnations(running, ledger, act)


@pytest.mark.parametrize("victim", ["launcher", "admin", "top"])
def test_sigkill_of(hostile: tuple[LiveTree, Ledger], victim: str) -> None:
    running, ledger = hostile
    kill(running.status()["pids"][victim])
    running.wait_for_end()
    running.expect_nothing_left()
    ledger.wait_until_gone(ledger.signatures())
    assert not run_groups(running.run_ids[-1]).exist
    assert not running.launcher.paths.control_socket.exists()
    running.up()
