"""What a person is shown of what was said last, tried with real programs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from suptree.testing import LiveTree

from .test_explain import LIMIT, SUPTREE, decided, explain, said, story

TREE = """
[tree]
name = "words"

[supervisors.root]
max_restarts = 20
within = 60

[agents.on-stdout]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo 'npm notice' >&2; sleep 1.3; echo 'Error: no such model'; exit 1"]
restart = "temporary"

[agents.killed]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo '[notice] start worker process' >&2; kill -KILL $$"]
restart = "temporary"

[agents.hooked]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo its own words >&2; exit 1"]
restart = "temporary"
hooks = { post_exit = ["sh", "-c", "echo from the hook"] }

[agents.limit]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo 'Claude AI usage limit reached'; exit 1"]
restart = "temporary"

[agents.server]
type = "process_wrapper"
command = "cat"
max_restarts = 0

[agents.crash]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]

[agents.death]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
"""

ONE = """
[agents.a]
type = "process_wrapper"
command = "sh"
args = ["-c", "echo a word; exit 3"]
restart = "temporary"
"""


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    with LiveTree(TREE) as tree:
        yield tree


def test_what_is_complained_on_stdout_is_the_last_error_and_not_a_notice_of_before(tree: LiveTree) -> None:
    decided(tree, "on-stdout", "leave")
    parts = ("failed: exit 1; Error: no such model", "last words", "err  npm notice", "out  Error: no such model")
    said(story(tree, "on-stdout"), *parts)


def test_what_a_program_said_before_somebody_killed_it_is_no_error(tree: LiveTree) -> None:
    found = decided(tree, "killed", "leave")
    assert (None, 9) == (found["deaths"][0]["exit"]["last_error"], found["deaths"][0]["exit"]["signal"])
    said(story(tree, "killed"), "exit       crash: SIGKILL\n", "killed with SIGKILL", "err  [notice] start worker process")


def test_what_a_hook_says_is_shown_as_of_the_hook(tree: LiveTree) -> None:
    decided(tree, "hooked", "leave")
    said(story(tree, "hooked"), "failed: exit 1; its own words", "err  its own words", "hook  from the hook")


def test_a_limit_in_clear_text_is_explained_with_what_to_write(tree: LiveTree) -> None:
    decided(tree, "limit", "leave")
    said(story(tree, "limit"), "last words speak of a limit", 'exit_codes = { 1 = "quota" }')


def test_a_server_that_finds_no_input_is_explained(tree: LiveTree) -> None:
    decided(tree, "server", "quarantine")
    said(
        story(tree, "server"),
        "server #1 died",
        "exit       normal: exit 0",
        "advice     It ended within a second, and its stdin",
        'stdin = "pipe"',
    )


def test_it_is_explained_too_when_its_tree_gave_up_over_it(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[tree]\nname = "t"\n[agents.server]\ntype = "process_wrapper"\ncommand = "cat"')
    environment = {**os.environ, "SUPTREE_HOME": str(tmp_path)}

    def suptree(*arguments: str) -> "subprocess.CompletedProcess[str]":
        with (tmp_path / "output").open("w+") as output:
            done = subprocess.run(
                [SUPTREE, *arguments], env=environment, cwd=tmp_path, stdout=output, stderr=output, text=True, timeout=LIMIT, check=False
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())

    assert 1 == suptree("up", "t.toml").returncode
    done = suptree("explain", "server")
    assert 0 == done.returncode
    said(done.stdout, "server #2 died", "decided    escalate", "advice     It ended within a second, and its stdin")


def test_an_agent_named_crash_is_explained_and_can_be_tried(tree: LiveTree) -> None:
    tree.wait_until(lambda s: {"running"} == {agent["status"] for agent in s["agents"] if agent["id"] in ("crash", "death")})
    assert ["crash has not died.", "death has not died."] == [story(tree, name).splitlines()[0] for name in ("crash", "death")]
    said(explain(tree, "crash", "crash").stdout, "if crash #1 ended now (crash):", "root decides: restart")
    said(explain(tree, "crash", "death", "normal").stdout, "if death #1 ended now (normal):")


@pytest.mark.parametrize("words", [("a", "b"), ("crash", "death", "boredom"), ("crash", "death", "normal", "more")])
def test_what_it_cannot_explain_is_a_usage_error(tree: LiveTree, words: tuple[str, ...]) -> None:
    assert 2 == explain(tree, *words).returncode


def test_what_is_of_an_earlier_run_is_shown_as_that() -> None:
    with LiveTree(ONE) as live:
        decided(live, "a", "leave")
        live.down()
        live.up()
        decided(live, "a", "leave")
        said(story(live, "a"), "a #1 died; the last of 2 deaths", "in the run of 2", "earlier    #1 ", "(the run of 2")
        lines = [line.split(" ", 2)[2] for line in live.ask(lambda client: client.log_lines("a"))]
    assert ["out a word", "err [suptree] the run of", "out a word"] == [
        " ".join(line.split(" ")[:5]) if "run of" in line else line for line in lines
    ]
