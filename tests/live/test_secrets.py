"""What is secret in the environment of an agent is written nowhere and shown by nothing."""

import asyncio
import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from suptree.control.client import Client
from suptree.supervisors.agent_config import agent_child_from_config
from suptree.testing import LiveTree

SUPTREE = str(Path(sys.executable).parent / "suptree")
AGENTS = str(Path(__file__).parent / "agents")

NAMES = (
    # of a program
    "OPENAI_API_KEY", "DB_PASSWORD", "SENTRY_DSN", "BASIC_AUTH", "SESSION_COOKIE", "MY_CREDENTIALS", "PRIVATE_KEY", "DATABASE_URL",
    # of one that exits at once, of one that talks through sd_notify, and of one that is added to the tree that runs
    "EXIT_TOKEN", "STATUS_TOKEN", "ADDED_SECRET", "ARGUMENT_TOKEN", "SWEPT_TOKEN", "LONG_LINE_TOKEN",
    # of a native agent
    "NATIVE_API_KEY", "NATIVE_PASSWORD",
    # inherited
    "INHERITED_TOKEN", "INHERITED_PASSWD", "AWS_SECRET_ACCESS_KEY", "GITHUB_PAT",
)  # fmt: skip
INHERITED = NAMES[-4:]
PLANTED = {name: secrets.token_hex(12) for name in NAMES}
VALUES = {**PLANTED, "DATABASE_URL": f"postgres://me:{PLANTED['DATABASE_URL']}@db/x"}

PRINTS_ALL = "env; env >&2; exit 3"
NOTIFIES = """
import os, socket, sys, time
def say(text):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
say("READY=1\\nSTATUS=logged in with " + os.environ["STATUS_TOKEN"])
time.sleep(6000)
"""
EXITS = "import os, sys; sys.exit('cannot log in with ' + os.environ['EXIT_TOKEN'])"
LONG_LINE = "import os; print('x' * 300000 + os.environ['LONG_LINE_TOKEN'] + 'y' * 1000, flush=True); print(repr(os.environ)); os._exit(4)"


def tree_file() -> str:
    def env(*names: str) -> str:
        return "{ " + ", ".join(f"{name} = {json.dumps(VALUES[name])}" for name in names) + " }"

    def agent(name: str, args: list[str], *names: str, command: str = sys.executable, more: str = "") -> str:
        table = f'[agents.{name}]\ntype = "process_wrapper"\ncommand = {json.dumps(command)}\nargs = {json.dumps(args)}\n'
        return f"{table}env = {env(*names)}\n{more}\n"

    child = f"sh -c 'sleep 6000; :' {PLANTED['SWEPT_TOKEN']}"
    leaves = f'{child} & until [ "$(cat /proc/$!/task/$!/children)" ]; do :; done; exit 5'
    return "\n".join(
        [
            '[tree]\nname = "vault"\n[supervisors.root]\nmax_restarts = 20\nwithin = 60',
            agent("printer", ["-c", PRINTS_ALL], *NAMES[:8], command="sh", more="hold = true"),
            agent("exits", ["-c", EXITS], "EXIT_TOKEN", more="hold = true"),
            agent("long", ["-c", LONG_LINE], "LONG_LINE_TOKEN", more='restart = "temporary"'),
            agent("notifier", ["-c", NOTIFIES], "STATUS_TOKEN", more='ready = "notify"'),
            agent("argued", ["-c", "exit 1", "--token", PLANTED["ARGUMENT_TOKEN"]], command="sh", more='restart = "temporary"'),
            agent("sweeps", ["-c", leaves], "SWEPT_TOKEN", command="sh", more='restart = "temporary"'),
            '[agents.native]\ntype = "native_llm"\nfactory = "dying_agents:Leaky"\nrestart = "temporary"\n'
            f"env = {env('NATIVE_API_KEY', 'NATIVE_PASSWORD')}",
        ]
    )


@pytest.fixture(scope="module")
def tree() -> Iterator[LiveTree]:
    """A tree in which every agent has told all that it knows."""
    with pytest.MonkeyPatch.context() as patch:
        for name in INHERITED:
            patch.setenv(name, VALUES[name])
        with LiveTree(tree_file(), sys_path=[AGENTS]) as tree:
            tree.ask(add_one)
            waiting = {"printer", "exits", "long", "argued", "sweeps", "native", "added"}
            tree.wait_until(
                lambda s: (
                    waiting
                    <= {
                        row["id"]
                        for row in s["agents"]
                        if row["status"] == "crashed" and (row["detail"] or "").startswith(("hold", "leave"))
                    }
                ),
                within=30,
            )
            tree.wait_until(lambda s: any("logged in" in (row["detail"] or "") for row in s["agents"]))
            yield tree


async def add_one(client: Client) -> None:
    config = {"command": "sh", "args": ["-c", "env; exit 6"], "env": {"ADDED_SECRET": VALUES["ADDED_SECRET"]}}
    await client.start_new(agent_child_from_config("added", "process_wrapper", config, Path.cwd()))


def leaked(text: str | bytes) -> list[str]:
    """The names of the secrets that are in a text."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return [name for name, value in PLANTED.items() if value.encode() in data]


def files_below(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_all_twenty_are_planted_and_would_be_found_out(tree: LiveTree) -> None:
    in_tree_file = [name for name in NAMES if name not in (*INHERITED, "ADDED_SECRET")]
    assert (20, in_tree_file) == (len(NAMES), leaked(tree.file.read_bytes()))


def test_no_file_of_the_tree_holds_a_secret(tree: LiveTree) -> None:
    paths = tree.launcher.paths
    files = files_below(paths.state, paths.runtime)
    assert {"journal.sqlite", "journal.sqlite-wal", "launcher.log", "printer.log", "native.log"} <= {path.name for path in files}
    assert any(path.parent.name == "post-mortems" for path in files)
    assert {} == {str(path): found for path in files if (found := leaked(path.read_bytes()))}


def test_no_row_of_the_journal_holds_a_secret(tree: LiveTree) -> None:
    with sqlite3.connect(f"file:{tree.launcher.paths.state / 'journal.sqlite'}?mode=ro", uri=True) as journal:
        dump = "\n".join(journal.iterdump())
    assert ([], True) == (leaked(dump), "agent_exited" in dump)


@pytest.mark.parametrize(
    "path", ["/status", "/picture", "/events?follow=false", *[f"/agents/{name}{rest}" for name in ("printer", "exits", "long", "notifier",
    "argued", "sweeps", "native", "added") for rest in ("", "/explanation", "/logs?lines=1000", "/forecast")]],
)  # fmt: skip
def test_no_answer_of_the_api_holds_a_secret(tree: LiveTree, path: str) -> None:
    async def get() -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(uds=str(tree.launcher.paths.control_socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://suptree") as client:
            return await client.get(path)

    answer = asyncio.run(get())
    # An agent that is down has no forecast, which is refused in words.
    assert (True, []) == (answer.status_code in (200, 409), leaked(answer.content))


def test_a_spec_that_is_refused_is_not_repeated(tree: LiveTree) -> None:
    async def post() -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(uds=str(tree.launcher.paths.control_socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://suptree") as client:
            agent = {"agent_id": "x", "agent_type": "process_wrapper", "command": "sh", "env": [VALUES["ADDED_SECRET"]]}
            return await client.post("/agents", json={"spec": {"id": "x", "agent": agent}})

    answer = asyncio.run(post())
    assert (400, []) == (answer.status_code, leaked(answer.content))
    assert "env" in answer.text


@pytest.mark.parametrize(
    "command",
    ["status", "status --json", "tree", "events", "events --json", "explain printer", "explain native --json", "explain exits",
     "explain argued", "explain sweeps", "explain notifier", "status argued --json", "status notifier", "logs printer", "logs native",
     "logs long -n 1000"],
)  # fmt: skip
def test_no_command_shows_a_secret(tree: LiveTree, command: str) -> None:
    environment = {**os.environ, "SUPTREE_HOME": str(tree.home)}
    done = subprocess.run([SUPTREE, *command.split()], env=environment, capture_output=True, timeout=60, check=False)
    assert (0, [], True) == (done.returncode, leaked(done.stdout + done.stderr), len(done.stdout) > 0)


def test_where_a_secret_stood_its_name_stands(tree: LiveTree) -> None:
    def texts(agent: str) -> Any:
        return tree.ask(lambda client: client.log_lines(agent, 1000))

    printed = "\n".join(texts("printer"))
    assert [] == [name for name in (*NAMES[:8], *INHERITED) if f"[redacted {name}]" not in printed]
    assert {"from C with " + "*" * 24, "as a child with " + "*" * 24} <= set(texts("native"))
    native = tree.agent("native")["last_exit"]
    assert "ValueError: cannot log in with [redacted NATIVE_API_KEY] and [redacted INHERITED_TOKEN]" == native["reason"]
    assert "cannot log in with [redacted EXIT_TOKEN]" == tree.agent("exits")["last_exit"]["last_error"]
    assert "logged in with [redacted STATUS_TOKEN]" == tree.agent("notifier")["detail"]
    assert ["-c", "exit 1", "--token", "[redacted]"] == tree.agent("argued")["config"]["args"]
    assert any("x[redacted LONG_LINE_TOKEN]y" in line for line in texts("long"))
    (death,) = tree.ask(lambda client: client.explanation("sweeps"))["deaths"]
    assert "sh -c sleep 6000; : [redacted SWEPT_TOKEN]" in [process["command"] for process in death["evidence"]["swept"]]
