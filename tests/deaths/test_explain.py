"""Every death is explained: class, evidence, decision, and what comes next."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suptree.control.client.client import Client
from suptree.testing import LiveTree, kill

SUPTREE = str(Path(sys.executable).parent / "suptree")
AGENTS = str(Path(__file__).parents[1] / "agents")
LIMIT = 60

TREE = """
[tree]
name = "deaths"

[supervisors.root]
max_restarts = 20
within = 60

[supervisors.desk]
max_restarts = 20
within = 60

[agents.segfault]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo a word; echo an error >&2; kill -SEGV $$"]
restart = "temporary"

[agents.missing]
type = "process_wrapper"
command = "sh"
args = ["-c", "no-such-command --now"]
hold = true

[agents.quota]
type = "process_wrapper"
command = "sh"
args = ["-c", "setsid sleep 6000 & until [ $(cat /proc/$!/comm) = sleep ]; do :; done; echo rate limit reached >&2; exit 75"]
park = true

[agents.alike]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo \\"$(date +%s%N): no model\\" >&2; exit 3"]
hold = true

[agents.mute]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo before the silence; sleep 6000"]
watchdog = true
restart = "temporary"
heartbeat = { interval = 0.2, suspect_after = 0.5, dead_after = 1.0 }

[agents.backing]
type = "process_wrapper"
command = "sh"
args = ["-c", "exit 1"]
backoff = { base = 50.0, cap = 60.0 }
max_restarts = 5

[agents.periodic]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo all done"]
backoff = { base = 50.0, cap = 60.0 }
max_restarts = 5

[agents.working]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo alive; sleep 6000"]

[agents.native]
type = "native_llm"
factory = "dying_agents:Prints"

[agents.reporter]
type = "process_wrapper"
supervisor = "desk"
command = "sh"
args = ["-c", "echo at the desk; sleep 6000"]
"""


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    with LiveTree(TREE, sys_path=[AGENTS]) as tree:
        yield tree


def explain(tree: LiveTree, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "SUPTREE_HOME": str(tree.home)}
    return subprocess.run([SUPTREE, "explain", *arguments], env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)


def story(tree: LiveTree, agent: str) -> str:
    """What `suptree explain` says; it must fit one screen."""
    done = explain(tree, agent)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.count("\n") <= 40
    assert [] == [line for line in done.stdout.splitlines() if len(line) > 100 and not line.startswith("more in")]
    return done.stdout


def decided(tree: LiveTree, agent: str, decision: str) -> dict[str, Any]:
    """The explanation, once that was decided."""
    wait_for(tree, lambda event: (event["event"], event["id"], event.get("decision")) == ("agent_decided", agent, decision))
    return explained(tree, agent)


def wait_for(tree: LiveTree, is_it: Callable[[dict[str, Any]], bool]) -> None:
    """Return when such an event has come."""

    async def follow(client: Client) -> None:
        async with asyncio.timeout(20), contextlib.aclosing(client.events()) as events:
            async for event in events:
                if is_it(event):
                    return

    tree.ask(follow)


def explained(tree: LiveTree, agent: str) -> dict[str, Any]:
    return tree.ask(lambda client: client.explanation(agent))


def said(text: str, *parts: str) -> None:
    """Each part is in the text, after the one before."""
    position = 0
    for part in parts:
        found = text.find(part, position)
        assert found >= 0, f"{part!r} is not in what follows:\n{text[position:]}"
        position = found


def test_a_segmentation_fault_is_explained(tree: LiveTree) -> None:
    found = decided(tree, "segfault", "leave")
    evidence = found["deaths"][0]["evidence"]
    assert (["a word"], ["an error"], "leave") == (evidence["out"], evidence["err"], found["deaths"][0]["decision"]["decision"])
    # What a shell needs is less than what it was before it was executed: a copy of its actor.
    assert evidence["usage"]["peak_memory"] is None
    assert str(Path.home()) == evidence["environment"]["HOME"]
    said(
        story(tree, "segfault"),
        "segfault #1 died",
        "exit       crash: SIGSEGV; an error",
        "Segmentation fault",
        "decided    leave",
        "timeline",
        "starting",
        "started (pid ",
        "last words",
        "out  a word",
        "err  an error",
        "now        left down",
        "to do      suptree start segfault",
    )


def test_a_missing_command_is_held_and_explained(tree: LiveTree) -> None:
    decided(tree, "missing", "hold")
    said(
        story(tree, "missing"),
        "exit       permanent: exit 127 (command not found); ",
        "A command was not found.",
        "decided    hold",
        "Install it",
        "no-such-command",
        "now        held for a person",
        "to do      fix the cause, then: suptree start missing",
    )


def test_a_quota_is_parked_and_what_the_program_left_behind_is_named(tree: LiveTree) -> None:
    (death,) = decided(tree, "quota", "park")["deaths"]
    assert ["sleep 6000"] == [process["command"] for process in death["evidence"]["swept"]]
    said(
        story(tree, "quota"),
        "exit       quota: exit 75 (try again later); rate limit reached",
        "decided    park",
        "left over  1 process, ended with it:",
        "sleep 6000",
        "now        parked until its quota is back: started again at",
        "to do      nothing; or, to start it before its time: suptree start quota",
    )


def test_three_failures_alike_are_held_and_explained(tree: LiveTree) -> None:
    assert [3, 2, 1] == [death["incarnation"] for death in decided(tree, "alike", "hold")["deaths"]]
    said(
        story(tree, "alike"),
        "alike #3 died; the last of 3 deaths that are known",
        "decided    hold (it failed 3 times running in the same way: failed: ",
        ": no model)",
        "earlier    #2",
        "failed, exit 3 → restart",
        "#1",
        "now        held for a person",
        "to do      fix the cause, then: suptree start alike",
    )


def test_a_hang_is_explained_with_what_was_printed_before(tree: LiveTree) -> None:
    decided(tree, "mute", "leave")
    said(
        story(tree, "mute"),
        "exit       hung: no ping from its program for",
        "It hung: it was alive, but silent for too long",
        "because    no ping from it came within dead_after",
        "give it a longer",
        "is suspect: silent for",
        "stopping: hung: no ping",
        "out  before the silence",
    )


def test_an_agent_that_backs_off_says_until_when(tree: LiveTree) -> None:
    wait_for(tree, lambda event: event["event"] == "agent_decided" and event["id"] == "backing" and event["delay"] > 0)
    said(story(tree, "backing"), "decided    restart", "It is started again after", "now        backing off: started again at")


def test_an_old_death_is_not_shown_for_the_last_one_whose_post_mortem_cannot_be_read(tree: LiveTree) -> None:
    wait_for(tree, lambda event: event["event"] == "agent_decided" and event["id"] == "backing" and event["delay"] > 0)
    file = Path(explained(tree, "backing")["deaths"][0]["file"])
    kept = file.replace(file.with_suffix(".kept"))
    try:
        os.mkfifo(file, 0o600)
        screen = story(tree, "backing")
        file.unlink()
        assert screen.partition("\nnow ")[0] == story(tree, "backing").partition("\nnow ")[0]
    finally:
        kept.replace(file)
    said(screen, "backing #2 died; its post-mortem is missing", "failed: exit 1", "earlier    #1", "now        crashed since")
    said(story(tree, "backing"), "backing #2 died; the last of 2 deaths")


def test_an_agent_that_finished_and_is_restarted_is_explained_by_its_last_word(tree: LiveTree) -> None:
    wait_for(tree, lambda event: event["event"] == "agent_decided" and event["id"] == "periodic" and event["delay"] > 0)
    evidence = explained(tree, "periodic")["deaths"][0]["evidence"]
    assert (["all done"], False, True) == (evidence["out"], evidence["from_log"], evidence["usage"]["cpu_time"] >= 0)
    assert str(Path.home()) == evidence["environment"]["HOME"]
    screen = story(tree, "periodic")
    said(screen, "exit       normal: exit 0", "It finished its work", "used       ", "out  all done")
    assert "without a last word" not in screen


def test_an_agent_whose_actor_is_killed_is_explained_from_its_log(tree: LiveTree) -> None:
    before = tree.wait_until(lambda s: row(s, "working")["status"] == "running")
    kill(row(before, "working")["actor_pid"])
    tree.wait_until(lambda s: row(s, "working")["incarnation"] == 2 and row(s, "working")["status"] == "running")
    said(
        story(tree, "working"),
        "working #1 died; the only death that is known",
        "exit       crash: its actor died by SIGKILL",
        "The actor that ran it died",
        "note       Its actor died without a last word",
        "out  alive",
        "now        running since",
        "(#2, pid ",
    )


def test_a_native_agent_that_is_killed_is_explained_from_its_log(tree: LiveTree) -> None:
    kill(tree.agent("native")["actor_pid"])
    decided(tree, "native", "restart")
    said(story(tree, "native"), "crash: its actor died by SIGKILL", "command    factory dying_agents:Prints", "out  its last words")


def test_what_dies_with_its_supervisor_is_explained_and_so_is_the_supervisor(tree: LiveTree) -> None:
    kill(row(tree.wait_until(lambda s: row(s, "reporter")["status"] == "running"), "desk")["actor_pid"])
    tree.wait_until(lambda s: row(s, "reporter")["incarnation"] == 2 and row(s, "reporter")["status"] == "running")
    said(story(tree, "reporter"), "crash: supervisor desk ended: its actor died by SIGKILL", "out  at the desk")
    said(story(tree, "desk"), "desk #1 died", "crash: its actor died by SIGKILL", "decided    restart")


def row(status: dict[str, Any], row_id: str) -> dict[str, Any]:
    return next(row for row in (*status["agents"], *status["supervisors"]) if row["id"] == row_id)


def test_the_post_mortem_is_a_file_that_only_its_owner_reads(tree: LiveTree) -> None:
    death = decided(tree, "missing", "hold")["deaths"][0]
    path = Path(death["file"])
    assert tree.launcher.paths.state / "post-mortems" == path.parent
    assert re.fullmatch(r"missing-1-\d{8}T\d{9}Z\.txt", path.name)
    assert (0o600, 0o700) == (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)
    said(path.read_text(), "Post-mortem of agent missing #1 in tree deaths, by suptree", "decided    hold", "variables", "PATH=")


def test_the_journal_and_the_events_do_not_carry_the_evidence(tree: LiveTree) -> None:
    assert [] == [event for event in tree.events() if "evidence" in event]


def test_a_death_is_explained_also_when_the_registry_died_with_it(tree: LiveTree) -> None:
    first = decided(tree, "missing", "hold")["deaths"][0]
    registry, program = tree.status()["pids"]["registry"], tree.agent("working")["pid"]
    kill(registry)
    kill(program)
    tree.wait_until(lambda s: s["pids"].get("registry") not in (None, registry))
    assert first == explained(tree, "missing")["deaths"][0]
    tree.wait_until(lambda s: row(s, "working")["status"] == "running" and row(s, "working")["last_exit"]["reason"] == "SIGKILL")
    death = explained(tree, "working")["deaths"][0]
    assert (["alive"], False, "restart") == (death["evidence"]["out"], death["evidence"]["from_log"], death["decision"]["decision"])


def test_json_is_what_the_client_gets(tree: LiveTree) -> None:
    decided(tree, "missing", "hold")
    for arguments in (("missing", "--json"), ("--json", "missing"), ("missing", "--json", "--tree", "deaths")):
        assert explained(tree, "missing") == json.loads(explain(tree, *arguments).stdout)


def test_an_unknown_id_is_no_such_agent(tree: LiveTree) -> None:
    done = explain(tree, "nobody")
    assert (4, "suptree: no agent 'nobody' in tree 'deaths'\n") == (done.returncode, done.stderr)


def test_what_would_happen_is_still_asked_beside_it(tree: LiveTree) -> None:
    assert "if working #" in explain(tree, "crash", "working").stdout


def test_the_help_names_both() -> None:
    done = subprocess.run([SUPTREE, "explain", "--help"], capture_output=True, text=True, timeout=LIMIT, check=True)
    said(done.stdout, "explain [OPTIONS] ID | crash ID [REASON]")


def test_an_agent_that_never_died_says_so_and_after_the_run_the_last_death_is_still_explained() -> None:
    quiet = """
[tree]
name = "quiet"
[agents.a]
type = "process_wrapper"
command = "sleep"
args = ["6000"]
[supervisors.root]
max_restarts = 3
"""
    with LiveTree(quiet) as tree:
        tree.wait_until_all_run()
        said(story(tree, "a"), "a has not died.", "now        running since")
        kill(tree.agent("a")["pid"])
        tree.wait_until(lambda s: s["agents"][0]["incarnation"] == 2 and s["agents"][0]["status"] == "running")
        tree.down()
        said(
            story(tree, "a"),
            "a #1 died; the only death",
            "crash: SIGKILL",
            "now        tree quiet does not run",
            "to do      suptree up FILE",
        )
        done = explain(tree, "nobody")
        assert (3, "suptree: no tree runs: start one with `suptree up FILE`\n") == (done.returncode, done.stderr)
        done = explain(tree, "nobody", "--tree", "quiet")
        assert 3 == done.returncode
        assert done.stderr.startswith("suptree: tree 'quiet' does not run, and has kept no deaths of 'nobody': ")
        # Another tree in which there was an agent of that name.
        shutil.copytree(tree.home / "trees" / "quiet", tree.home / "trees" / "silent")
        done = explain(tree, "a")
        assert (1, "suptree: several trees, none of which runs, have kept deaths of 'a': quiet, silent; say which with --tree NAME\n") == (
            done.returncode,
            done.stderr,
        )


def test_so_many_deaths_leave_only_the_last_post_mortems() -> None:
    crashing = """
[agents.a]
type = "process_wrapper"
command = "sh"
args = ["-c", "exit 1"]
max_restarts = 14
"""
    with LiveTree(crashing) as tree:

        async def explanation(client: Client) -> dict[str, Any]:
            return await client.explanation("a")

        tree.wait_until(lambda s: (s["agents"][0]["detail"] or "").startswith("quarantine"), within=75)
        assert list(range(15, 5, -1)) == [death["incarnation"] for death in tree.ask(explanation)["deaths"]]
        said(story(tree, "a"), "decided    quarantine", "now        quarantined", "to do      fix the cause, then: suptree start a")
