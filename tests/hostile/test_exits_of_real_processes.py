"""The exit classes: each row of the table is made to happen by a real process."""

import json
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from suptree.actors.errors import StartFailed
from suptree.actors.kernel.cgroup import Cgroup, make_run_groups
from suptree.control.client.client import Client
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.testing import LiveTree, kill

from .hostile_fleet import PROGRAMS, SETTLE


class Case(NamedTuple):
    """A program, and the class and reason of its exit; `more` is added to its table."""

    program: str
    arguments: tuple[str, ...]
    exit_class: str
    reason: str
    more: str = ""


def exits(code: int, *words: str) -> tuple[str, tuple[str, ...]]:
    return "exits_with_status", (str(code), *words)


def dies(number: int) -> tuple[str, tuple[str, ...]]:
    return "dies", (str(int(number)),)


EXTERNAL = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
FATAL = (
    *(signal.SIGQUIT, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL, signal.SIGUSR1),
    *(signal.SIGSEGV, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGVTALRM),
    *(signal.SIGPROF, signal.SIGIO, signal.SIGSYS),
)
QUOTA = '{"suptree": "quota", "reason": "rate limit of the provider", "retry_after": 12.5}'
FAILED = '{"suptree": "failed", "reason": "the model refused"}'

CASES: dict[str, Case] = {
    # A cause that the supervisor recorded.
    "silent": Case(
        "exits_never", (), "hung", "no ping from its program for", "watchdog = true\nheartbeat = { interval = 0.2, dead_after = 1 }"
    ),
    "old": Case("exits_never", (), "budget", "it ran longer than its max_runtime of 0.5 s", "limits = { max_runtime = 0.5 }"),
    "loud": Case("floods", (), "budget", "it wrote more than its max_output of 1 MiB", 'limits = { max_output = "1M" }'),
    # The agent's own word, also on exit 0; the last one counts.
    "word-quota": Case(*exits(0, FAILED, QUOTA), "quota", "rate limit of the provider; exit 0"),
    "word-failed": Case(*exits(0, FAILED), "failed", "the model refused; exit 0"),
    "word-failed-75": Case(*exits(75, FAILED), "failed", "the model refused; exit 75"),
    "word-half": Case(*exits(0, r'{"suptree": "failed", "reason": "half \ud800"}'), "failed", r"half \xed\xa0\x80; exit 0"),
    "word-deep": Case(*exits(0, '{"suptree":' + "[" * 4000), "normal", "exit 0"),
    "word-unknown": Case(*exits(0, '{"suptree": "splendid"}'), "normal", "exit 0"),
    # Its spec's own codes.
    "own-code": Case(*exits(42), "normal", "exit 42 (as its exit_codes say)", 'exit_codes = { 42 = "normal" }'),
    "own-code-over-75": Case(*exits(75), "crash", "exit 75 (as its exit_codes say)", 'exit_codes = { 75 = "crash" }'),
    # The table.
    "code-0": Case(*exits(0), "normal", "exit 0"),
    "code-64": Case(*exits(64), "permanent", "exit 64 (bad usage)"),
    "code-77": Case(*exits(77), "permanent", "exit 77 (no permission)"),
    "code-78": Case(*exits(78), "permanent", "exit 78 (bad configuration)"),
    "code-126": Case(*exits(126), "permanent", "exit 126 (cannot be executed)"),
    "code-127": Case(*exits(127), "permanent", "exit 127 (command not found)"),
    # No signal has such a number.
    "code-255": Case(*exits(255), "failed", "exit 255"),
    "code-75": Case(*exits(75), "quota", "exit 75 (try again later)"),
    **{f"signal-{number}": Case(*dies(number), "external", number.name) for number in EXTERNAL},
    **{f"code-{128 + number}": Case(*exits(128 + number), "external", number.name) for number in EXTERNAL},
    **{f"signal-{number}": Case(*dies(number), "crash", signal.Signals(number).name) for number in FATAL},
    "signal-40": Case(*dies(40), "crash", "signal 40"),
    "code-139": Case(*exits(139), "crash", "exit 139 (SIGSEGV)"),
    "code-1": Case(*exits(1), "failed", "exit 1"),
    "code-63": Case(*exits(63), "failed", "exit 63"),
    "code-128": Case(*exits(128), "failed", "exit 128"),
    "silent-exit": Case("exits_silently", (), "normal", "exit 0"),
    "no-terminal": Case("needs_a_terminal", (), "failed", "exit 1"),
}

LATE = """
[agents.late]
type = "process_wrapper"
command = "sh"
args = ["-c", "sleep 0.4; exit 1"]
restart = "temporary"
min_uptime = 0.2

[agents.early]
type = "process_wrapper"
command = "sh"
args = ["-c", "exit 1"]
restart = "temporary"
min_uptime = 30

[agents.stopped]
type = "process_wrapper"
command = "sh"
args = ["-c", "trap 'exit 7' INT; while :; do sleep 0.01; done"]
restart = "temporary"

[agents.vanished]
type = "process_wrapper"
command = "sleep"
args = ["1000000"]
restart = "temporary"
"""


LATER: dict[str, dict[str, Any]] = {
    "missing": {"command": "no-such-command"},
    "unready": {"command": "sleep", "args": ["1000"], "ready": "notify", "heartbeat": {"startup_timeout": 0.5}},
}


def as_table(folder: Path, agent: str, case: Case) -> str:
    program = "ignores_signals" if case.program == "exits_never" else case.program
    arguments = ["-SE", f"{PROGRAMS}/{program}.py", str(folder), agent, *case.arguments]
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{sys.executable}"
args = {json.dumps(arguments)}
restart = "temporary"
stop = {{ cancel = 0, sigint = 0, sigterm = 0.1 }}
{case.more}
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """The last exit of each agent of the table, all of which ran in one tree."""
    folder = tmp_path_factory.mktemp("ledger")
    agents = "".join(as_table(folder, agent, case) for agent, case in CASES.items())
    with LiveTree('[tree]\nname = "classes"\n' + agents + LATE) as running:
        running.ask(lambda client: client.stop("stopped"))
        kill(running.agent("vanished")["actor_pid"])
        # As in OTP, a child of the file that fails to start takes its supervisor along; these are started later.
        for agent, config in LATER.items():
            spec = agent_child_from_config(agent, "process_wrapper", config, folder)
            with pytest.raises(StartFailed):
                running.ask(partial(Client.start_new, spec=spec))
        status = running.wait_until(lambda status: all(row["last_exit"] for row in status["agents"]), 3 * SETTLE)
        yield {row["id"]: row["last_exit"] for row in status["agents"]}


@pytest.mark.parametrize("agent", CASES)
def test_each_exit_has_its_class_and_says_why(ended: dict[str, dict[str, Any]], agent: str) -> None:
    case, exit_ = CASES[agent], ended[agent]
    assert case.exit_class == exit_["class"]
    assert case.reason == exit_["reason"][: len(case.reason)]


def test_an_exit_under_the_minimum_uptime_is_marked(ended: dict[str, dict[str, Any]]) -> None:
    assert (False, True) == (ended["late"]["during_start"], ended["early"]["during_start"])


def test_a_stop_on_request_is_a_shutdown_whatever_the_program_made_of_it(ended: dict[str, dict[str, Any]]) -> None:
    assert ("shutdown", "exit 7") == (ended["stopped"]["class"], ended["stopped"]["reason"])


def test_what_cannot_be_executed_is_permanent(ended: dict[str, dict[str, Any]]) -> None:
    assert "permanent" == ended["missing"]["class"]
    assert ended["missing"]["reason"].startswith("command not found: 'no-such-command'")


def test_what_is_not_ready_in_time_is_a_startup_timeout(ended: dict[str, dict[str, Any]]) -> None:
    assert ("startup_timeout", "not ready within 0.5 s") == (ended["unready"]["class"], ended["unready"]["reason"])


def test_an_actor_that_is_killed_is_a_crash(ended: dict[str, dict[str, Any]]) -> None:
    assert ("crash", "its actor died by SIGKILL") == (ended["vanished"]["class"], ended["vanished"]["reason"])


def kernel_limits_memory() -> bool:
    groups = make_run_groups("probe")
    cgroup = Cgroup(groups.below("probe", 1))
    cgroup.make(64 * 1024 * 1024)
    groups.below("probe", 1).remove()
    return "memory" in cgroup.held


@pytest.mark.parametrize("cgroups", ["auto", "off"])
def test_too_much_memory_is_an_oom_where_the_kernel_limits_it_and_else_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroups: str
) -> None:
    monkeypatch.setenv("SUPTREE_CGROUPS", cgroups)
    by_kernel = cgroups == "auto" and kernel_limits_memory()
    case = Case("eats_memory", (), "", "", 'limits = { memory_max = "64M" }')
    with LiveTree('[tree]\nname = "memory"\n' + as_table(tmp_path, "glutton", case)) as running:
        status = running.wait_until(lambda status: all(row["last_exit"] for row in status["agents"]), SETTLE)
    exit_ = status["agents"][0]["last_exit"]
    if by_kernel:
        assert ("oom", "the kernel killed a process of it because memory was short; SIGKILL") == (exit_["class"], exit_["reason"])
    else:
        assert "budget" == exit_["class"]
        assert exit_["reason"].endswith("of memory, more than its memory_max of 64 MiB")
