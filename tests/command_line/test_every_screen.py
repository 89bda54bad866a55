"""What every command shows, on a terminal and in a pipe, in every locale, whatever agents say."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SUPTREE = str(Path(sys.executable).parent / "suptree")
LIMIT = 60
HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b2J\u202e[green]한\x1b[31mred"
SAYS = """
import json, os, socket, sys, time
hostile = json.loads(sys.argv[1])
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(f"STATUS={hostile}".encode(), os.environ["NOTIFY_SOCKET"])
print(hostile, file=sys.stderr, flush=True)
print(json.dumps({"suptree": "failed", "reason": hostile}), flush=True)
if sys.argv[2] == "ends":
    sys.exit(1)
time.sleep(1000000)
"""
COMMANDS = {
    "status": ("status",),
    "status of one": ("status", "ends"),
    "status of a supervisor": ("status", "root"),
    "tree": ("tree",),
    "events": ("events",),
    "logs": ("logs", "ends"),
    "explain": ("explain", "ends"),
    "explain crash": ("explain", "crash", "says"),
    "doctor": ("doctor",),
    "check": ("check", "{home}/bad.toml"),
    "check of a good file": ("check", "{home}/tree.toml"),
    "restart": ("restart", "says"),
    "an unknown agent": ("status", HOSTILE),
    "key": ("key",),
}
REFUSED = {"check": 2, "an unknown agent": 4}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a tree whose agents say hostile things; one of them has ended."""
    home = tmp_path_factory.mktemp("home")
    (home / "says.py").write_text(SAYS, encoding="utf-8")
    (home / "tree.toml").write_text(
        "".join(
            f"[agents.{name}]\ntype = 'process_wrapper'\ncommand = {json.dumps(sys.executable)}\nrestart = 'temporary'\n"
            f"args = [{json.dumps(str(home / 'says.py'))}, {json.dumps(json.dumps(HOSTILE))}, '{name}']\n"
            for name in ("says", "ends")
        ),
        encoding="utf-8",
    )
    odd = json.dumps(HOSTILE)
    (home / "bad.toml").write_text(f"[tree]\nname = {odd}\n[agents.{odd}]\ntype = {odd}\n{odd} = 1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPTREE_HOME", str(home))
        assert 0 == in_a_pipe(home, "up", str(home / "tree.toml"), "-d")[0]
        deadline = time.monotonic() + LIMIT
        while "crashed" not in in_a_pipe(home, "status", "ends")[1]:
            assert time.monotonic() < deadline
        yield home
        assert 0 == in_a_pipe(home, "down")[0]


def in_a_pipe(home: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit status of a command, and all that it printed."""
    done = subprocess.run(
        [SUPTREE, *(argument.format(home=home) for argument in arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment}, timeout=LIMIT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8"))


def on_a_terminal(home: Path, *arguments: str, columns: int = 80) -> tuple[int, str]:
    """The same on a terminal."""
    primary, secondary = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
    command = [SUPTREE, *(argument.format(home=home) for argument in arguments)]
    shown = b""
    with subprocess.Popen(command, stdin=secondary, stdout=secondary, stderr=secondary, env=environment) as process:
        os.close(secondary)
        while True:
            try:
                shown += os.read(primary, 65536)
            except OSError:
                break
        status = process.wait(LIMIT)
    os.close(primary)
    return status, shown.decode().replace("\r\n", "\n")


def without_colours(text: str) -> str:
    return re.sub("\x1b\\[[0-9;:]*m", "", text)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("where", [in_a_pipe, on_a_terminal], ids=["pipe", "terminal"])
def test_a_command_changes_nothing_of_the_terminal_but_colours(home: Path, name: str, where: Callable[..., tuple[int, str]]) -> None:
    status, shown = where(home, *COMMANDS[name])

    assert REFUSED.get(name, 0) == status
    assert [] == [character for character in without_colours(shown) if not character.isprintable() and character != "\n"]
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("name", "encoding"), [*((name, "ascii") for name in COMMANDS), *((name, "latin-1") for name in ("explain", "logs", "events"))]
)
def test_a_command_has_no_traceback_in_any_encoding(home: Path, name: str, encoding: str) -> None:
    status, shown = in_a_pipe(home, *COMMANDS[name], PYTHONIOENCODING=encoding)

    assert REFUSED.get(name, 0) == status
    assert "Traceback" not in shown


def test_a_word_that_the_encoding_lacks_is_escaped(home: Path) -> None:
    assert "\\ud55c" in in_a_pipe(home, "explain", "ends", PYTHONIOENCODING="latin-1")[1]
    assert "한" in in_a_pipe(home, "explain", "ends")[1]


def test_raw_logs_are_what_the_agent_printed(home: Path) -> None:
    assert HOSTILE in in_a_pipe(home, "logs", "ends", "--raw")[1]
    assert r"\x1b[2J\x1b]0;title\x07\x9b2J\u202e[green]한" + "\x1b[31mred\x1b[0m\n" in in_a_pipe(home, "logs", "ends")[1]


@pytest.mark.parametrize("name", ["status", "status of one", "tree", "doctor"])
def test_in_a_pipe_no_line_is_padded_and_nothing_is_coloured(home: Path, name: str) -> None:
    lines = in_a_pipe(home, *COMMANDS[name])[1].splitlines()

    assert [] == [line for line in lines if line != line.rstrip() or "\x1b" in line or "[green]ok" in line]


def test_on_eighty_columns_a_crashed_agent_has_its_reason(home: Path) -> None:
    lines = without_colours(on_a_terminal(home, "status")[1]).splitlines()

    assert {"AGENT", "STATUS", "PID", "DETAIL"} <= set(lines[0].split())
    assert "TYPE" not in lines[0]
    # The reason stands in its own column, on as many lines as it needs.
    place = lines[0].index("DETAIL")
    assert "leave: failed" in "".join(line[place:].strip() for line in lines[1:])
    assert [] == [line for line in lines if len(line) > 80]


def test_the_doctor_colours_its_findings_and_spells_no_markup(home: Path) -> None:
    assert "\x1b[32mok" in on_a_terminal(home, "doctor", columns=200)[1]


def test_the_status_of_one_agent_is_for_people_and_for_programs(home: Path) -> None:
    shown = dict(line.split(maxsplit=1) for line in in_a_pipe(home, "status", "ends")[1].splitlines() if " " in line.strip())
    assert ("ends", "crashed", "0") == (shown["AGENT"], shown["STATUS"], shown["RESTARTS"])
    assert "{" not in "".join(shown.values())

    assert "crashed" == json.loads(in_a_pipe(home, "status", "ends", "--json")[1])["status"]
