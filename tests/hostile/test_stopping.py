"""The stop ladder, hooks and limits, as a program at their other end sees them."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from suptree.control.client.client import Client
from suptree.testing import LiveTree

from .hostile_fleet import PROGRAMS, SETTLE, Ledger

RUNG = 0.4
NOISE = 5.0  # how much later than promised a busy machine may be; the benchmark measures the promise


def agent(folder: Path, agent_id: str, program: str, more: str) -> str:
    return f"""
[agents.{agent_id}]
type = "process_wrapper"
command = "{sys.executable}"
args = {json.dumps(["-SE", f"{PROGRAMS}/{program}.py", str(folder), agent_id])}
{more}
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[LiveTree]:
    patient = "stop = { cancel = 0, sigint = 60, sigterm = 60 }"
    hooks = json.dumps(["sh", "-c", 'echo "pre_stop of $SUPTREE_AGENT_ID"'])
    after = json.dumps(["sh", "-c", 'echo "post_exit: $SUPTREE_EXIT_CLASS, $SUPTREE_EXIT_REASON"'])
    stuck = json.dumps(["sh", "-c", "setsid sleep 1000 & echo stuck; sleep 1000"])
    talks = json.dumps(["sh", "-c", "printf 'a line\\nhalf a'; sleep 1000"])
    tree = "".join(
        (
            '[tree]\nname = "stopping"\n',
            agent(tmp_path, "stubborn", "counts_signals", f"stop = {{ cancel = 0, sigint = {RUNG}, sigterm = {RUNG} }}"),
            agent(tmp_path, "patient", "counts_signals", patient),
            agent(tmp_path, "skipped", "counts_signals", f"stop = {{ cancel = 0, sigint = 0, sigterm = {RUNG} }}"),
            agent(tmp_path, "stopped", "stops_itself", patient.replace("sigint = 60", "sigint = 0")),
            agent(tmp_path, "hooked", "closes_outputs", f"{patient}\nhooks = {{ pre_stop = {hooks}, post_exit = {after} }}"),
            agent(tmp_path, "stuck", "closes_outputs", f"hooks = {{ pre_stop = {stuck}, timeout = {RUNG} }}"),
            agent(tmp_path, "talks", "closes_outputs", f"hooks = {{ pre_stop = {talks}, timeout = 60 }}"),
            agent(tmp_path, "unhookable", "closes_outputs", 'hooks = { pre_stop = ["/no/such/hook"], post_exit = ["false"] }'),
        )
    )
    with LiveTree(tree) as live:
        Ledger(tmp_path).wait_until_signed({"stubborn", "patient", "skipped", "stopped", "hooked", "stuck", "talks", "unhookable"})
        yield live
        for slow in ("patient", "talks"):
            live.ask(lambda client, slow=slow: client.stop(slow, graceful=False))  # type: ignore[misc]
    Ledger(tmp_path).wait_until_gone(Ledger(tmp_path).signatures())


def said(running: LiveTree, agent_id: str) -> list[tuple[datetime, str]]:
    """The lines of an agent's log: when, and what."""
    lines = running.ask(lambda client: client.log_lines(agent_id))
    return [(datetime.fromisoformat(stamp), text) for stamp, _incarnation, _stream, text in (line.split(" ", 3) for line in lines)]


def exited_at(running: LiveTree, agent_id: str) -> datetime:
    event = next(event for event in reversed(running.events()) if event["event"] == "agent_exited" and event["id"] == agent_id)
    return datetime.fromisoformat(event["at"])


def wait_until_it_says(running: LiveTree, agent_id: str, word: str) -> None:
    running.ask(lambda client: heard(client, agent_id, word))


async def upto(lines: AsyncIterator[str], last: str) -> AsyncIterator[str]:
    """Each line, until one ends so."""
    async for line in lines:
        yield line
        if line.endswith(last):
            return


async def heard(client: Client, agent_id: str, word: str) -> None:
    """Return when the agent has said it."""
    async with asyncio.timeout(SETTLE), contextlib.aclosing(client.follow_log(agent_id)) as lines:
        async for line in lines:
            if line.endswith(word):
                return


def test_each_rung_gets_its_time_and_the_last_is_sigkill(running: LiveTree) -> None:
    wait_until_it_says(running, "stubborn", "ready")
    running.ask(lambda client: client.stop("stubborn"))

    (_, _), (sigint, first), (_, second), (sigterm, third), (_, fourth) = said(running, "stubborn")
    assert [{"SIGINT", "SIGCONT"}, {"SIGTERM", "SIGCONT"}] == [{first, second}, {third, fourth}]
    for earlier, later in ((sigint, sigterm), (sigterm, exited_at(running, "stubborn"))):
        assert RUNG - 0.01 <= (later - earlier).total_seconds() < RUNG + NOISE
    assert "SIGKILL" == running.agent("stubborn")["last_exit"]["reason"]


def test_a_rung_of_0_seconds_is_skipped(running: LiveTree) -> None:
    wait_until_it_says(running, "skipped", "ready")
    running.ask(lambda client: client.stop("skipped"))
    assert {"ready", "SIGTERM", "SIGCONT"} == {text for _, text in said(running, "skipped")}


def test_a_further_stop_request_skips_a_rung(running: LiveTree) -> None:
    wait_until_it_says(running, "patient", "ready")

    async def stop_thrice(client: Client) -> None:
        stops = []
        for word in ("SIGINT", "SIGTERM"):
            stops.append(asyncio.ensure_future(client.stop("patient")))
            await heard(client, "patient", word)
        await asyncio.gather(*stops, client.stop("patient"))

    # In far less than the 60 s that each rung would take.
    running.ask(lambda client: asyncio.wait_for(stop_thrice(client), SETTLE))
    assert "SIGKILL" == running.agent("patient")["last_exit"]["reason"]


def test_a_stop_without_grace_takes_no_rung(running: LiveTree) -> None:
    wait_until_it_says(running, "patient", "ready")
    running.ask(lambda client: asyncio.wait_for(client.stop("patient", graceful=False), SETTLE))
    assert ["ready"] == [text for _, text in said(running, "patient")]


def test_a_program_that_is_stopped_still_gets_sigterm(running: LiveTree) -> None:
    running.ask(lambda client: asyncio.wait_for(client.stop("stopped"), SETTLE))
    assert "SIGTERM" == running.agent("stopped")["last_exit"]["reason"]


def test_hooks_run_before_the_first_signal_and_after_the_exit(running: LiveTree) -> None:
    running.ask(lambda client: client.stop("hooked"))
    assert ["[hook] pre_stop of hooked", "[hook] post_exit: shutdown, SIGINT"] == [text for _, text in said(running, "hooked")]


def test_what_a_hook_prints_is_in_the_log_while_the_hook_runs(running: LiveTree) -> None:
    async def stop(client: Client) -> str:
        stopping = asyncio.ensure_future(client.stop("talks"))
        async with asyncio.timeout(SETTLE), contextlib.aclosing(client.follow_log("talks")) as lines:
            said = [line.split(" ", 3)[3] async for line in upto(lines, "a line")]
        assert not stopping.done()
        await client.stop("talks")  # Nobody waits for the hook any more.
        await stopping
        return said[-1]

    assert "[hook] a line" == running.ask(lambda client: asyncio.wait_for(stop(client), SETTLE))
    assert ["[hook] a line", "[hook] half a"] == [text for _, text in said(running, "talks") if text.startswith("[hook]")]


def test_a_hook_that_takes_too_long_is_ended_with_all_that_it_started(running: LiveTree) -> None:
    actor = psutil.Process(running.agent("stuck")["actor_pid"])
    running.ask(lambda client: asyncio.wait_for(client.stop("stuck"), SETTLE))
    hook, overrun, *swept = (text for _, text in said(running, "stuck"))
    assert ("[hook] stuck", f"[suptree] pre_stop hook: 'sh' took longer than {RUNG} s") == (hook, overrun)
    # Of its two `sleep`, the one in its group may be seen once more while it dies.
    assert swept
    assert all("which it had left behind: " in line and "sleep" in line for line in swept)
    assert not actor.is_running()


def test_a_hook_that_fails_is_reported_and_stops_nothing(running: LiveTree) -> None:
    running.ask(lambda client: client.stop("unhookable"))
    assert [
        "[suptree] pre_stop hook: '/no/such/hook' cannot be run: No such file or directory",
        "[suptree] post_exit hook: 'false' ended with status 1",
    ] == [text for _, text in said(running, "unhookable")]


def test_restarts_leave_no_descriptor_behind(running: LiveTree) -> None:
    def descriptors() -> list[int]:
        status = running.status()
        pids = [*status["pids"].values(), *(row["actor_pid"] for row in status["supervisors"])]
        return [psutil.Process(pid).num_fds() for pid in pids]

    def restart_all(times: int) -> None:
        for _ in range(times):
            running.ask(lambda client: client.restart("hooked"))
            running.ask(lambda client: client.stop("hooked", graceful=False))
            running.ask(lambda client: client.start("hooked"))

    restart_all(2)
    before = descriptors()
    restart_all(10)
    # A connection of a client, more or less, may still be open.
    assert all(after <= count + 2 for count, after in zip(before, descriptors(), strict=True)), (before, descriptors())
