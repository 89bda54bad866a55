"""The command line, as a person or a script uses it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SUPTREE = str(Path(sys.executable).parent / "suptree")
NEWSROOM = str(Path(__file__).parents[2] / "examples" / "newsroom.toml")
LIMIT = 60

BAD = """
[tree]
name = "bad tree"

[supervisors.a]
strategy = "one_for_al"
max_restarts = -1

[supervisors.b]
supervisor = "nowhere"

[agents.a]
type = "process_wrapper"
command = "sleep"

[agents.coder]
type = "proces_wrapper"
command = "sleep 10"
restart = "permament"

[agents.planner]
type = "native_llm"

[agents.writer]
type = "process_wrapper"
comand = "sleep"
limits = { memory_max = "lots" }
heartbeat = { dead_after = -3 }
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for each test, in which no tree may be left running."""
    monkeypatch.setenv("SUPTREE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SUPTREE_TREE", raising=False)
    yield tmp_path / "home"
    for run_file in (tmp_path / "home" / "trees").glob("*/run.json"):
        suptree("down", "--tree", run_file.parent.name)


def suptree(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SUPTREE, *arguments], capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL, check=False)


def succeed(*arguments: str) -> str:
    done = suptree(*arguments)
    # What takes longer than a second on a busy machine says so.
    assert [] == [
        line for line in done.stderr.splitlines() if not re.match("still stopping|waiting for|[a-z]+ is (start|stopp|runn)ing", line)
    ]
    assert 0 == done.returncode
    return done.stdout


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(succeed("status", "--json"))
    return found


def agent(agent_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(succeed("status", agent_id, "--json"))
    return found


def test_a_tree_goes_up_and_down_and_every_verb_between_says_what_it_did() -> None:
    assert succeed("up", NEWSROOM, "-d").startswith("newsroom is up: 8 agents, 4 supervisors (launcher pid ")
    seen = status()
    assert ("newsroom", True) == (seen["tree"], seen["ready"])
    assert {"launcher", "admin", "logger", "top", "registry", "heartbeat"} == set(seen["pids"])
    assert 0o600 == next(
        Path(path).stat().st_mode & 0o777 for path in sockets_of(seen["pids"]["launcher"]) if path.endswith("control.sock")
    )

    assert "writer: stopped" in succeed("stop", "writer")
    assert ("stopped", None) == (agent("writer")["status"], agent("writer")["pid"])
    assert "writer: running (incarnation 2" in succeed("start", "writer")
    assert "writer: running (incarnation 3" in succeed("restart", "writer")
    assert "printer: stopped" in succeed("kill", "printer")
    assert 1 == suptree("start", "writer").returncode
    assert "press: stopped" in succeed("stop", "press")
    assert "press: running" in succeed("start", "press")
    assert {"printer", "mailer"} <= {row["id"] for row in status()["agents"] if row["status"] == "running"}

    table = succeed("status")
    expected = [
        "AGENT",
        "TYPE",
        "SUPERVISOR",
        "STATUS",
        "PID",
        "RESTARTS",
        "UPTIME",
        "PING",
        "MEMORY",
        "DETAIL",
    ]
    assert expected == table.splitlines()[0].split()
    drawn = succeed("tree")
    assert drawn.index("writers") < drawn.index("researcher") < drawn.index("press")
    assert any(line.endswith(" out writing") for line in succeed("logs", "writer").splitlines())
    assert "writer #1 started" in succeed("events")
    assert "newsroom: 0 processes left\n" == succeed("down")
    assert 3 == suptree("status").returncode


def sockets_of(pid: int) -> list[str]:
    return [str(connection.laddr) for connection in psutil.Process(pid).net_connections("unix") if connection.laddr]


def test_a_line_reaches_its_agent_and_the_incarnation_before_is_shown(tmp_path: Path) -> None:
    (tmp_path / "cat.toml").write_text('[agents.cat]\ntype = "process_wrapper"\ncommand = "cat"\nstdin = "pipe"\n')
    succeed("up", str(tmp_path / "cat.toml"), "-d")
    assert "" == succeed("tell", "cat", "one line")
    succeed("restart", "cat")
    assert succeed("logs", "cat", "--previous").endswith(" #1 out one line\n")
    succeed("stop", "cat")
    done = suptree("tell", "cat", "more")
    assert (1, "suptree: 'cat' took no input: it is not running\n") == (done.returncode, done.stderr)
    assert 2 == suptree("logs", "cat", "-f", "-p").returncode


def test_logs_follow_what_is_written_next() -> None:
    succeed("up", NEWSROOM, "-d")
    with subprocess.Popen([SUPTREE, "logs", "writer", "-f"], stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline().endswith("writing\n")
        succeed("restart", "writer")
        assert " #2 out writing\n" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert 0 == following.wait(LIMIT)


def test_up_in_the_foreground_shows_events_and_ends_at_ctrl_c() -> None:
    with subprocess.Popen([SUPTREE, "up", NEWSROOM], stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        for line in foreground.stdout:
            if "the tree is ready" in line:
                break
        foreground.send_signal(signal.SIGINT)
        rest = foreground.stdout.read()
        assert 0 == foreground.wait(LIMIT)
    assert rest.endswith("newsroom: 0 processes left\n")


def test_killing_up_in_the_foreground_ends_the_tree() -> None:
    with subprocess.Popen([SUPTREE, "up", NEWSROOM], stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        for line in foreground.stdout:
            if "the tree is ready" in line:
                break
        launcher = psutil.Process(status()["pids"]["launcher"])
        family = [launcher, *launcher.children(recursive=True)]
        foreground.kill()
        _gone, alive = psutil.wait_procs(family, timeout=20)
    assert [] == alive


@pytest.mark.parametrize(
    ("victim", "reason"),
    [("launcher", "the tree has ended with its launcher, which somebody ended with SIGKILL"), ("top", "the tree ended by itself: see ")],
)
def test_a_tree_that_is_killed_in_the_foreground_exits_1_and_says_so(home: Path, victim: str, reason: str) -> None:
    with subprocess.Popen([SUPTREE, "up", NEWSROOM], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as foreground:
        assert foreground.stdout is not None
        for line in foreground.stdout:
            if "the tree is ready" in line:
                break
        pid = status()["pids"][victim]
        os.kill(pid, signal.SIGKILL)
        rest = foreground.stdout.read()
        assert 1 == foreground.wait(LIMIT)
    assert reason in rest
    assert rest.endswith("newsroom: 0 processes left\n")
    if victim == "top":
        assert f"its process 'top' (pid {pid}) ended without a last word" in (home / "trees/newsroom/launcher.log").read_text()


def test_nothing_is_imported_from_the_folder_that_a_tree_is_started_in(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("token", "calendar", "types", "structlog"):
        (tmp_path / "elsewhere" / f"{name}.py").write_text("raise SystemExit('not yours')\n")
    run = [SUPTREE, "up", NEWSROOM, "-d"]
    done = subprocess.run(run, cwd=tmp_path / "elsewhere", capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (0, False) == (done.returncode, "not yours" in done.stderr)
    succeed("down")


def test_what_an_agent_says_does_nothing_to_the_terminal_that_shows_it(tmp_path: Path) -> None:
    word = json.dumps({"suptree": "failed", "reason": "[/red] :bomb: \x1b]0;title\x07\x1b[2J"})
    (tmp_path / "says.toml").write_text(
        f"[agents.a]\ntype = 'process_wrapper'\ncommand = 'sh'\nargs = ['-c', 'echo \"$1\"; exit 1', 'sh', {json.dumps(word)}]\n"
        "restart = 'temporary'\n[agents.b]\ntype = 'process_wrapper'\ncommand = 'sleep'\nargs = ['1000']\n"
    )
    succeed("up", str(tmp_path / "says.toml"), "-d")
    deadline = time.monotonic() + LIMIT
    while agent("a")["status"] != "crashed":
        assert time.monotonic() < deadline
    for verb in (("status",), ("status", "a"), ("events",), ("explain", "a")):
        said = succeed(*verb)
        assert r"[/red] :bomb: \x1b]0;title\x07\x1b[2J" in said
        assert not {"\x1b", "\x07"} & set(said)
    printed = succeed("logs", "a")
    assert word in printed
    succeed("down")
    # Its output is kept.
    assert printed == succeed("logs", "a") == succeed("logs", "a", "--tree", "says")
    assert 3 == suptree("logs", "b", "--tree", "says").returncode
    assert 3 == suptree("logs", "a", "--follow").returncode


@pytest.mark.parametrize("seconds", ["nan", "-1", "0", "1e9", "soon"])
def test_a_time_limit_is_a_time(seconds: str) -> None:
    assert [2, 2] == [suptree(verb, "a", "hello", "--timeout", seconds).returncode for verb in ("ask", "tell")]


def test_a_file_with_ten_mistakes_gets_all_of_them_in_one_answer(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(BAD)
    for verb in (("check", str(file)), ("up", str(file)), ("up", str(file), "-d")):
        done = suptree(*verb)
        assert 2 == done.returncode
        assert "" == done.stdout
        places = [line.removeprefix(f"{file}: ").split(" ")[0].rstrip(":") for line in done.stderr.splitlines()]
        expected = [
            "tree.name",
            "supervisors.a.strategy",
            "supervisors.a.max_restarts",
            "supervisors.b.supervisor",
            "agents.a",
            "agents.coder.type",
            "agents.coder.command",
            "agents.coder.restart",
            "agents.planner.factory",
            "agents.writer.command",
            "agents.writer.comand",
            "agents.writer.limits.memory_max",
            "agents.writer.heartbeat.dead_after",
        ]
        assert expected == places


def test_bad_toml_is_one_mistake_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[tree\nname = "x"\n')
    done = suptree("check", str(file))
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert "is not TOML" in done.stderr


@pytest.mark.parametrize(
    "verb", [("status",), ("tree",), ("down",), ("stop", "x"), ("logs", "x"), ("events",), ("status", "--tree", "other")]
)
def test_a_tree_that_does_not_run_exits_3(verb: tuple[str, ...]) -> None:
    done = suptree(*verb)
    assert (3, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))


def test_an_unknown_agent_exits_4_and_says_which_tree_was_asked() -> None:
    succeed("up", NEWSROOM, "-d")
    for verb in ("status", "start", "stop", "restart", "kill", "logs"):
        done = suptree(verb, "nobody")
        assert (4, "") == (done.returncode, done.stdout)
        assert "no agent 'nobody' in tree 'newsroom'" in done.stderr


def test_up_of_a_tree_that_runs_is_refused() -> None:
    succeed("up", NEWSROOM, "-d")
    done = suptree("up", NEWSROOM, "-d")
    assert 1 == done.returncode
    assert "runs already" in done.stderr


@pytest.mark.parametrize(
    ("command", "word"),
    [("no-such-program", "command not found"), ("/", "command is a folder"), ("./plain.txt", "command is not executable")],
)
def test_a_command_that_cannot_run_gets_its_own_clear_word(tmp_path: Path, command: str, word: str) -> None:
    (tmp_path / "plain.txt").write_text("no program")
    file = tmp_path / "tree.toml"
    file.write_text(f'[agents.a]\ntype = "process_wrapper"\ncommand = "{command}"\n')
    done = suptree("up", str(file), "-d")
    assert 1 == done.returncode
    assert word in done.stderr


def test_everything_that_is_missing_is_shown_together_by_check_and_up(tmp_path: Path) -> None:
    file = tmp_path / "tree.toml"
    file.write_text(
        '[agents.a]\ntype = "process_wrapper"\ncommand = "no-such-a"\n[agents.b]\ntype = "process_wrapper"\ncommand = "no-such-b"\n'
        '[agents.c]\ntype = "native_llm"\nfactory = "no_such_module:Agent"\n'
    )
    for verb in (("check", str(file)), ("up", str(file)), ("up", str(file), "-d")):
        done = suptree(*verb)
        assert (1, "") == (done.returncode, done.stdout)
        places = [line.split(": ")[1] for line in done.stderr.splitlines()]
        assert ["agents.a.command (line 3)", "agents.b.command (line 6)", "agents.c.factory (line 9)"] == places
    assert places == [problem["place"] for problem in json.loads(suptree("check", str(file), "--json").stdout)["problems"]]


def test_a_hold_that_its_supervisor_does_not_live_to_see_is_a_warning_of_check_and_up(tmp_path: Path) -> None:
    file = tmp_path / "tree.toml"
    file.write_text('[tree]\nname = "held"\n[agents.a]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000"]\nhold = true\n')
    for verb in (("check", str(file)), ("up", str(file), "-d")):
        done = suptree(*verb)
        assert (0, True) == (done.returncode, "supervisors.root.max_restarts: warning: is 1: " in done.stderr)
    checked = json.loads(suptree("check", str(file), "--json").stdout)
    assert ["supervisors.root.max_restarts"] == [warning["place"] for warning in checked["warnings"]]


def test_init_writes_a_file_that_is_good_and_runs(tmp_path: Path) -> None:
    file = str(tmp_path / "tree.toml")
    assert f"wrote {file}" in succeed("init", file)
    assert 1 == suptree("init", file).returncode
    assert "is good" in succeed("check", file)
    succeed("up", file, "-d")
    assert all(row["status"] == "running" for row in status()["agents"])


def test_what_explain_crash_says_of_the_running_demo_is_what_the_crash_does() -> None:
    with subprocess.Popen([SUPTREE, "demo", "--seconds", "60"], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "the tree is ready" in line:
                break
        lines = succeed("explain", "crash", "searcher", "--tree", "demo").splitlines()
        assert "if searcher #1 ended now (crash):" == lines[0]
        assert lines[1].startswith("tools decides: restart (crash")
        actions = [action.partition(". ")[2] for action in lines[2:]]
        assert ["stop reviewer", "stop coder", "start searcher", "start coder", "start reviewer"] == actions
        searcher = agent("searcher")["actor_pid"]
        # Its coder ends by itself, six seconds after each of its starts; the reviewer starts after it.
        for line in demo.stdout:
            if re.search(r"reviewer #\d+ started", line):
                break
        os.kill(searcher, signal.SIGKILL)
        done = []
        for line in demo.stdout:
            words = line.split()
            if len(words) == 4 and words[1] in ("searcher", "coder", "reviewer") and words[3] in ("stopping", "starting"):
                done.append(f"{words[3].removesuffix('ing').replace('stopp', 'stop')} {words[1]}")
            if len(done) == len(actions):
                break
        assert actions == done
        demo.send_signal(signal.SIGINT)
        assert demo.stdout.read().endswith("demo: 0 processes left\n")
        assert 0 == demo.wait(LIMIT)


def test_the_demo_piped_prints_plain_lines_and_leaves_nothing() -> None:
    done = suptree("demo", "--seconds", "8")
    assert (0, "") == (done.returncode, done.stderr)
    assert "\x1b" not in done.stdout
    assert done.stdout.endswith("demo: 0 processes left\n")
    for word in ("poet #1 exited: failed", "victim #1 exited: crash, SIGKILL", "dreamer #1 exited: hung", "dreamer #2 started"):
        assert word in done.stdout


def test_the_demo_in_a_terminal_draws_and_ends_at_ctrl_c() -> None:
    primary, secondary = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40"}
    drawn = b""
    with subprocess.Popen(
        [SUPTREE, "demo", "--seconds", "60"], stdin=secondary, stdout=secondary, stderr=secondary, env=environment
    ) as demo:
        os.close(secondary)
        deadline = time.monotonic() + LIMIT
        interrupted = False
        while time.monotonic() < deadline:
            try:
                drawn += os.read(primary, 65536)
            except OSError:
                break
            if not interrupted and b"poet" in drawn and b"running" in drawn:
                demo.send_signal(signal.SIGINT)
                interrupted = True
        assert 0 == demo.wait(LIMIT)
    os.close(primary)
    assert b"0 processes left" in drawn
