"""Native agents: however their code ends, it is recorded as what it was."""

import signal
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.output.output_log import log_path
from suptree.testing import LiveTree, kill

AGENTS = str(Path(__file__).parents[1] / "agents")

TREE = """
[agents.a]
type = "native_llm"
factory = "ending_agents:FACTORY"
restart = "temporary"
stop = { cancel = 0.5 }
heartbeat = { interval = 0.3, suspect_after = 1, dead_after = 2 }
"""


def ended(factory: str) -> dict[str, Any]:
    with LiveTree(TREE.replace("FACTORY", factory), sys_path=[AGENTS]) as tree:
        status = tree.wait_until(lambda s: s["agents"][0]["status"] in ("stopped", "crashed"))
        found: dict[str, Any] = status["agents"][0]
        return found


@pytest.mark.parametrize(
    ("factory", "exit_class", "reason"),
    [
        ("Returns", "normal", "run() returned"),
        ("NotAsync", "normal", "run() returned"),
        ("Raises", "failed", "ValueError: no such model"),
        ("RaisesBadly", "failed", "Unprintable"),
        ("ExitsWith3", "failed", "sys.exit: exit 3"),
        ("ExitsWith0", "normal", "sys.exit: exit 0"),
        ("Interrupts", "failed", "KeyboardInterrupt"),
        ("ExitsWaitedFor", "failed", "SystemExit: no key"),
        ("ExitsInGroup", "failed", "SystemExit: no key"),
        ("ExitsBeside", "failed", "SystemExit: no key"),
        ("ExitsInCallback", "failed", "sys.exit: exit 255"),
        ("Yields", "permanent", "its run() is a generator"),
        ("Segfaults", "crash", "its actor died by SIGSEGV"),
        ("Blocks", "hung", "no ping from its actor for"),
        ("LeavesThread", "normal", "run() returned"),
        ("LimitedInGroup", "quota", "enough"),
        ("LimitedWhileClosing", "quota", "enough"),
        ("LimitedBehind", "quota", "enough"),
        ("LimitedBeside", "quota", "enough"),
        ("LimitedInCallback", "quota", "enough"),
        ("LimitedInThread", "quota", "enough"),
        ("LimitedInHealthCheck", "quota", "enough"),
        ("Forks", "shutdown", "the child ended with status 0"),
        ("ForksToRaise", "shutdown", "the child ended with status 1"),
        ("ForksToExit", "shutdown", "the child ended with status 7"),
        ("ForksToWait", "shutdown", "the child ended with status 1"),
        ("ForksInHealthCheck", "shutdown", "the child ended with status 0"),
    ],
)
def test_the_end_of_a_native_agent_has_its_class_and_reason(factory: str, exit_class: str, reason: str) -> None:
    agent = ended(factory)
    assert exit_class == agent["last_exit"]["class"]
    assert agent["last_exit"]["reason"].startswith(reason)
    assert ("stopped" if exit_class in ("normal", "shutdown") else "crashed") == agent["status"]


def test_an_error_of_a_million_characters_is_cut() -> None:
    how = ended("RaisesAtLength")["last_exit"]
    assert ("failed", 1000, 500) == (how["class"], len(how["reason"]), len(how["last_error"]))


def test_sigterm_from_outside_the_tree_is_external_as_for_a_program() -> None:
    with LiveTree(TREE.replace("FACTORY", "Ending"), sys_path=[AGENTS]) as tree:
        kill(tree.wait_until_all_run()["agents"][0]["actor_pid"], signal.SIGTERM)
        last = tree.wait_until(lambda status: status["agents"][0]["last_exit"])["agents"][0]["last_exit"]
    assert ("external", "its actor died by SIGTERM") == (last["class"], last["reason"])


@pytest.mark.parametrize("factory", ["Stubborn", "BlocksInShutdown", "ExitsInShutdown"])
def test_a_stop_that_the_agent_spoils_is_still_a_stop(factory: str) -> None:
    with LiveTree(TREE.replace("FACTORY", factory), sys_path=[AGENTS]) as tree:
        tree.ask(lambda client: client.stop("a"))
        agent = tree.agent("a")
        assert ("stopped", "shutdown") == (agent["status"], agent["last_exit"]["class"])


def test_everything_that_it_prints_is_in_its_log() -> None:
    with LiveTree(TREE.replace("FACTORY", "Prints"), sys_path=[AGENTS]) as tree:
        tree.wait_until(lambda s: s["agents"][0]["status"] == "stopped")
        text = log_path(str(tree.launcher.paths.state), "a").read_text()
    for line in (" out printed", " err to stderr", " out through the buffer", " out no newline at the end"):
        assert f"{line}\n" in text
    assert "from a child process\n" in text
    assert "from C\n" in text


@pytest.mark.parametrize(
    ("factory", "limits", "reason"),
    [
        ("Waits", "max_runtime = 0.3", "it ran longer than its max_runtime of 0.3 s"),
        ("PrintsTooMuch", 'max_output = "100K"', "it wrote more than its max_output of 100 KiB"),
        ("Eats", 'memory_max = "150M"', "it used "),
    ],
)
def test_the_limits_of_a_native_agent_are_its_limits_too(factory: str, limits: str, reason: str) -> None:
    tree = TREE.replace("FACTORY", factory) + f"limits = {{ {limits} }}\n"
    with LiveTree(tree, sys_path=[AGENTS]) as running:
        last = running.wait_until(lambda status: status["agents"][0]["last_exit"])["agents"][0]["last_exit"]
    assert ("budget", reason) == (last["class"], last["reason"][: len(reason)])
