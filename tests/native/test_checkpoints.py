"""What of an agent's state survives it: what it gives as a checkpoint, and nothing else."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.errors import AskFailed
from suptree.actors.output.output_log import log_path
from suptree.control import ProcessManager
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

AGENTS = str(Path(__file__).parents[1] / "agents")
SUPTREE = str(Path(sys.executable).parent / "suptree")


def tree(factory: str, more: str = "") -> LiveTree:
    text = f"""
[supervisors.root]
max_restarts = 10

[agents.a]
type = "native_llm"
factory = "asked_agents:{factory}"
heartbeat = {{ interval = 0.2, suspect_after = 0.5, dead_after = 1, startup_timeout = 20 }}
{more}
"""
    return LiveTree(text, sys_path=[AGENTS])


def count(live: LiveTree, times: int = 1) -> int:
    counted = 0
    for _ in range(times):
        counted = live.ask(lambda client: client.ask("a", "count"))
    return counted


def folder(live: LiveTree) -> Path:
    return live.launcher.paths.state / "checkpoints"


def kept(live: LiveTree) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder(live) / "a.json").read_text())
    return found


def wait_for_line(live: LiveTree, text: str, within: float = 10.0) -> None:
    path = log_path(str(live.launcher.paths.state), "a")
    poll_until(lambda: text in path.read_text(), within, path.read_text)


def die(live: LiveTree, how: str = "die") -> None:
    incarnation = live.agent("a")["incarnation"]
    with pytest.raises(AskFailed):
        live.ask(lambda client: client.ask("a", how))
    live.wait_until(lambda s: s["agents"][0]["incarnation"] > incarnation and s["agents"][0]["status"] == "running", 20)


@pytest.mark.parametrize("how", ["die", "raise"])
def test_what_was_answered_for_is_remembered_after_a_crash(how: str) -> None:
    with tree("Counter") as live:
        live.wait_until_all_run()
        assert 3 == count(live, 3)
        die(live, how)
        assert 4 == count(live)


@pytest.mark.parametrize("factory", ["Forgetful", "HalfForgetful"])
def test_nothing_is_kept_of_an_agent_that_does_not_offer_both(factory: str) -> None:
    with tree(factory, "checkpoint_interval = 0.01") as live:
        live.wait_until_all_run()
        assert 3 == count(live, 3)
        die(live)
        assert 1 == count(live)
        live.ask(lambda client: client.restart("a"))
        assert 1 == count(live)
        assert not folder(live).exists()


def test_what_it_does_by_itself_is_kept_every_interval() -> None:
    with tree("Ticker", "checkpoint_interval = 0.1") as live:
        live.wait_until_all_run()
        assert 50 < (before := wait_for_count(live, 50))
        kill(live.agent("a")["actor_pid"])
        live.wait_until(lambda s: s["agents"][0]["incarnation"] == 2 and s["agents"][0]["status"] == "running")
        assert before <= count(live)


def wait_for_count(live: LiveTree, least: int, within: float = 20.0) -> int:
    """What the checkpoint holds, when it holds more than that."""
    poll_until((folder(live) / "a.json").exists, within)
    return poll_until(lambda: found if (found := int(kept(live)["state"]["count"])) > least else 0, within)


def test_what_a_message_taught_it_is_kept_too() -> None:
    with tree("Counter", "checkpoint_interval = 1000") as live:
        live.wait_until_all_run()
        live.ask(lambda client: client.tell("a", "x"))
        assert 100 == wait_for_count(live, 99)
        die(live)
        assert 101 == count(live)


def test_it_is_kept_by_a_stop_and_by_the_next_run_of_the_tree() -> None:
    with tree("Ticker", "checkpoint_interval = 1000") as live:
        live.wait_until_all_run()
        first = count(live)
        live.ask(lambda client: client.stop("a"))
        assert first <= kept(live)["state"]["count"]
        live.ask(lambda client: client.start("a"))
        second = count(live)
        assert first < second
        live.down()
        live.up()
        live.wait_until_all_run()
        assert second < count(live)


def test_only_its_owner_may_read_it_and_it_is_replaced_as_a_whole() -> None:
    with tree("Counter") as live:
        live.wait_until_all_run()
        count(live)
        (folder(live) / "a~new.json").write_text("x" * 100)
        (folder(live) / "a~new.json").chmod(0o666)
        count(live)
        assert (0o700, 0o600) == tuple(stat.S_IMODE(path.stat().st_mode) for path in (folder(live), folder(live) / "a.json"))
        assert ["a.json"] == os.listdir(folder(live))  # noqa: PTH208
        found = kept(live)
        assert ("a", "asked_agents:Counter", 1, {"count": 2}) == tuple(found[key] for key in ("agent", "factory", "incarnation", "state"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it is not JSON"),
        ('{"agent": "a", "factory": "asked_agents:Counter", "state": {"cou', "it is not JSON"),
        ("\x80\x04K\x01.", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("7", "it is no checkpoint"),
        ('{"agent": "a", "factory": "other:Agent", "state": {"count": 9}}', "it is of 'a', made by 'other:Agent'"),
        ('{"agent": "a", "factory": "asked_agents:Counter", "state": {"number": 9}}', "restore() raised KeyError: 'count'"),
        ('{"agent": "a", "factory": "asked_agents:Counter", "state": null}', "restore() raised TypeError"),
        (" " * 3_000_000, "it is longer than 1048576 bytes"),
    ],
)
def test_a_checkpoint_that_cannot_be_restored_is_set_aside_and_reported(content: str, why: str) -> None:
    with tree("Counter") as live:
        live.wait_until_all_run()
        count(live)
        live.ask(lambda client: client.stop("a"))
        (folder(live) / "a.json").write_text(content, encoding="latin-1")
        live.ask(lambda client: client.start("a"))
        assert 1 == count(live)
        wait_for_line(live, f"[suptree] its last checkpoint is not restored: {why}")
        assert content == (folder(live) / "a~refused.json").read_text(encoding="latin-1")
        # What it has kept since is restored.
        die(live)
        assert (2, 3) == (count(live), live.agent("a")["incarnation"])


def test_an_agent_that_refuses_what_it_kept_begins_as_if_there_were_nothing() -> None:
    with tree("Picky") as live:
        live.wait_until_all_run()
        assert 2 == count(live, 2)
        die(live)
        assert 1 == count(live)
        die(live)
        assert 2 == count(live)
        wait_for_line(live, "restore() raised ValueError: too much; set aside as")


def test_a_checkpoint_that_kills_its_agent_is_tried_once() -> None:
    with tree("Fatal") as live:
        live.wait_until_all_run()
        assert 2 == count(live, 2)
        # Its own death, and that of the one that tries to restore.
        die(live)
        assert (1, 3) == (count(live), live.agent("a")["incarnation"])
        wait_for_line(live, "its last checkpoint is not restored: restoring it ended the process; set aside as")


def test_a_checkpoint_that_cannot_be_taken_is_reported_and_the_one_before_is_kept() -> None:
    with tree("Unjust", "checkpoint_interval = 0.1") as live:
        live.wait_until_all_run()
        poll_until((folder(live) / "a.json").exists)
        for why in (
            "a checkpoint was refused: it is not what JSON can express: Object of type object is not JSON serializable",
            "a checkpoint was refused: it has 2000002 bytes, more than 1048576",
            "checkpoint() took longer than 1 s",
            "checkpoint() raised RuntimeError: no more",
        ):
            count(live)
            wait_for_line(live, f"[suptree] {why}; the checkpoint before is kept")
        assert None is kept(live)["state"]
        assert (5, 1) == (count(live), live.agent("a")["incarnation"])
        # Reported once, however often it happens.
        assert 1 == log_path(str(live.launcher.paths.state), "a").read_text().count("RuntimeError: no more")


def test_a_disk_that_does_not_answer_blocks_nobody() -> None:
    with tree("Counter", "checkpoint_interval = 0.1") as live:
        live.wait_until_all_run()
        assert 1 == count(live)
        # A process that opens it for writing waits for a reader.
        os.mkfifo(folder(live) / "a~new.json")
        assert [2, 3, 4] == [count(live) for _ in range(3)]
        wait_for_line(live, "[suptree] checkpoint() took longer than 1 s; the checkpoint before is kept")
        wait_for_line(live, "[suptree] the disk has not taken the last checkpoint yet; the checkpoint before is kept")
        # It has lived through more than dead_after.
        time.sleep(1.5)
        assert (5, 1) == (count(live), live.agent("a")["incarnation"])
        assert {"count": 1} == kept(live)["state"]


def test_it_is_deleted_with_its_agent_and_by_a_fresh_start() -> None:
    with tree("Counter") as live:
        live.wait_until_all_run()
        assert 2 == count(live, 2)
        live.ask(lambda client: client.restart("a", fresh=True))
        assert 1 == count(live)
        live.ask(lambda client: client.stop("a"))
        assert ["a.json"] == os.listdir(folder(live))  # noqa: PTH208
        live.ask(lambda client: client.start("a", fresh=True))
        assert 1 == count(live)
        done = subprocess.run(
            [SUPTREE, "restart", "a", "--fresh"],
            env={**os.environ, "SUPTREE_HOME": str(live.home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ("", 0) == (done.stderr, done.returncode)
        assert 1 == count(live)
        live.ask(lambda client: client.stop("a"))
        live.ask(lambda client: client.delete("a"))
        assert [] == os.listdir(folder(live))  # noqa: PTH208


def test_an_agent_that_a_program_starts_again_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(AGENTS)

    async def talk() -> list[int]:
        async with ProcessManager() as pm:
            counted = []
            for restart in ("temporary", "permanent"):
                config = {"factory": "asked_agents:Counter", "restart": restart}
                for _ in range(2):
                    assert await pm.start_agent(restart, "native_llm", config)
                    counted.append(await pm.ask(restart, "count"))
                    assert await pm.stop_agent(restart)
            return counted

    assert [1, 2, 1, 2] == asyncio.run(talk())
