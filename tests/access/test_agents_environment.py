"""The environment of real agents: built from what their tables say, wherever they and their helpers run."""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.control import ProcessManager
from suptree.testing import LiveTree
from tests.polling import poll_until, poll_until_async

AGENTS = str(Path(__file__).parent / "agents")
WITHIN = 30.0
# What the test itself plants in the environment that the tree is launched from.
PLANTED = {"PLANTED_KEY": "planted-1", "PLANTED_OTHER": "planted-2", "UNNAMED_VALUE": "planted-3", "PYTHONPATH": "/planted-4"}
WRITES = 'env -0 > "$0.new"; mv "$0.new" "$0"'


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


def written(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().split("\0") if line)


def planted_in(environment: dict[str, str]) -> set[str]:
    return {name for name in environment if name in PLANTED}


def test_whatever_an_agent_starts_has_what_its_table_says_and_no_more(tmp_path: Path) -> None:
    def sh(name: str, then: str = "") -> str:
        return json.dumps(["sh", "-c", WRITES + then, str(tmp_path / name)])

    text = f"""
[agents.plain]
type = "process_wrapper"
command = "sh"
args = {json.dumps(["-c", WRITES + "; exec sleep 1000", str(tmp_path / "plain")])}

[agents.program]
type = "process_wrapper"
command = "sh"
args = {json.dumps(["-c", WRITES + "; exec sleep 1000", str(tmp_path / "program")])}
env = {{ OWN = "1" }}
env_inherit = ["PLANTED_*"]
hooks = {{ pre_stop = {sh("pre_stop")}, post_exit = {sh("post_exit")} }}
liveness_probe = {{ exec = {sh("probe")}, period = 0.2, timeout = 10 }}
stop = {{ cancel = 0, sigint = 0, sigterm = 1 }}

[agents.native]
type = "native_llm"
factory = "writing_agents:Writes"
config = {{ folder = {json.dumps(str(tmp_path))} }}
env = {{ OWN = "1" }}
env_inherit = ["PLANTED_*"]
"""
    with LiveTree(text, sys_path=[AGENTS]) as tree:
        tree.wait_until_all_run(WITHIN)
        for name in ("plain", "program", "native", "probe"):
            # A program renames it into place when it is whole.
            poll_until((tmp_path / name).exists, WITHIN, f"{name} is written")
        status = tree.status()
        programs = {row["id"]: row["pid"] for row in status["agents"] if row["pid"]}
        # The launcher, the services, the supervisors and all actors.
        ours = {*status["pids"].values(), *(row["actor_pid"] for row in (*status["agents"], *status["supervisors"]))}
        given = {name: planted_in(psutil.Process(pid).environ()) for name, pid in programs.items()}
        leaked = {pid: planted_in(psutil.Process(pid).environ()) - {"PYTHONPATH"} for pid in ours}
        held = [size for process in tree.processes() for size in memory_files(process)]
        tree.ask(lambda client: client.stop("program"))
        tree.ask(lambda client: client.stop("native"))
        found = {path.name: written(path) for path in tmp_path.iterdir() if not path.suffix}
    assert {"plain", "program", "native", "probe", "pre_stop", "post_exit"} == set(found)
    named = {"PLANTED_KEY", "PLANTED_OTHER"}
    assert {"plain": set(), **dict.fromkeys(set(found) - {"plain"}, named)} == {name: planted_in(env) for name, env in found.items()}
    own = {"OWN": "1", "PATH": os.environ["PATH"], "SUPTREE_RESTART_COUNT": "0"}
    for name in set(found) - {"plain"}:
        assert own == {key: found[name][key] for key in own}
        assert {"SUPTREE_AGENT_ID", "SUPTREE_RUN_ID", "NOTIFY_SOCKET"} <= set(found[name])
    assert "shutdown" == found["post_exit"]["SUPTREE_EXIT_CLASS"]
    assert {"plain": set(), "program": named} == given
    # Neither the launcher nor any actor was ever given them, nor holds them for others to take.
    assert (10, dict.fromkeys(ours, set())) == (len(ours), leaked)  # noqa: RUF024
    assert {0} == set(held)


def memory_files(process: psutil.Process) -> Iterator[int]:
    """How much is in the file by which the environment was handed over, wherever that is still open."""
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        if "suptree-environment" in str(descriptor.readlink()):
            yield descriptor.stat().st_size


def test_a_key_that_was_rotated_is_picked_up_by_a_restart_and_a_file_that_others_may_read_stops_it(tmp_path: Path) -> None:
    keys, out = tmp_path / "keys.env", tmp_path / "out"
    keys.touch(0o600)
    keys.write_text("MY_KEY='first key'\nMODEL=large-model")
    text = f"""
[agents.coder]
type = "process_wrapper"
command = "sh"
args = {json.dumps(["-c", 'echo "$MY_KEY $MODEL"; printf "%s" "$MY_KEY" > "$0"; echo READY; exec sleep 1000', str(out)])}
env_from = {json.dumps(str(keys))}
hold = true
"""
    with LiveTree(text) as tree:
        tree.wait_until_all_run(WITHIN)
        wait_for_line(tree, "READY", 1)
        assert "first key" == out.read_text()
        keys.write_text("MY_KEY='second key'")
        tree.ask(lambda client: client.restart("coder"))
        wait_for_line(tree, "READY", 2)
        assert "second key" == out.read_text()
        lines = tree.ask(lambda client: client.log_lines("coder", 100))
        keys.chmod(0o644)
        os.kill(tree.agent("coder")["pid"], 9)
        held = tree.wait_until(lambda s: (s["agents"][0]["detail"] or "").startswith("hold"), WITHIN)["agents"][0]
    assert ["[redacted MY_KEY] [redacted MODEL]", "READY", "[redacted MY_KEY] ", "READY"] == [line.split(" out ", 1)[1] for line in lines]
    expected = {"class": "permanent", "reason": f"env_from may be read by others (mode 0644): chmod 600 {keys}"}
    assert expected == {key: held["last_exit"][key] for key in expected}


def wait_for_line(tree: LiveTree, text: str, count: int) -> None:
    async def follow(client: Any) -> None:
        seen = 0
        async with asyncio.timeout(WITHIN), contextlib.aclosing(client.follow_log("coder", 1000)) as lines:
            async for line in lines:
                seen += line.endswith(text)
                if seen == count:
                    return

    tree.ask(follow)


def test_a_program_that_embeds_a_tree_is_inherited_from_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[bool]:
        args = ["-c", WRITES + "; exec sleep 1000"]
        async with ProcessManager(tmp_path / "state") as pm:
            config = {"command": "sh", "env_inherit": ["PLANTED_KEY", "LATER_KEY"]}
            first = await pm.start_agent("first", "process_wrapper", {**config, "args": [*args, str(tmp_path / "first")]})
            monkeypatch.setenv("LATER_KEY", "later")
            second = await pm.start_agent("second", "process_wrapper", {**config, "args": [*args, str(tmp_path / "second")]})
            for name in ("first", "second"):
                await poll_until_async((tmp_path / name).exists, WITHIN)
        return [first, second]

    assert [True, True] == asyncio.run(run())
    found = [written(tmp_path / name) for name in ("first", "second")]
    assert [{"PLANTED_KEY"}] * 2 == [planted_in(environment) for environment in found]
    assert [None, "later"] == [environment.get("LATER_KEY") for environment in found]


def test_a_command_is_looked_for_where_its_own_environment_says(tmp_path: Path) -> None:
    (tmp_path / "own-program").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "own-program").chmod(0o755)
    path = json.dumps(f"{tmp_path}:{os.environ['PATH']}")
    table = 'type = "process_wrapper"\ncommand = "own-program"\nrestart = "temporary"\n'
    with LiveTree(f"[agents.found]\n{table}env = {{ PATH = {path} }}") as tree:
        tree.wait_until_all_run(WITHIN)
        (process,) = [process for process in tree.processes() if process.name() == "sleep"]
        assert process.pid == tree.agent("found")["pid"]
