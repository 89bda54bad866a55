"""What is secret in what an agent is given is written nowhere and shown by nothing, whatever the agent says of it."""

import asyncio
import base64
import contextlib
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

from suptree.control.client.client import Client
from suptree.supervisors.config.child_from_config import agent_child_from_config
from suptree.testing import LiveTree, kill

SUPTREE = str(Path(sys.executable).parent / "suptree")
AGENTS = str(Path(__file__).parents[1] / "agents")

NAMES = (
    # of a program
    "OPENAI_API_KEY", "DB_PASSWORD", "SENTRY_DSN", "BASIC_AUTH", "SESSION_COOKIE", "MY_CREDENTIALS", "PRIVATE_KEY", "DATABASE_URL",
    # of one that exits immediately, of one that talks through sd_notify, and of one that is added to the tree that runs
    "EXIT_TOKEN", "STATUS_TOKEN", "ADDED_SECRET", "ARGUMENT_TOKEN", "SWEPT_TOKEN", "LONG_LINE_TOKEN",
    # of a native agent
    "NATIVE_API_KEY", "NATIVE_PASSWORD",
    # inherited
    "INHERITED_TOKEN", "INHERITED_PASSWD", "AWS_SECRET_ACCESS_KEY", "GITHUB_PAT",
)  # fmt: skip
INHERITED = NAMES[-4:]
# Where secrets stand that are no variable of the tree file.
ELSEWHERE = (
    # in a file, under names that say nothing of it too
    "FILE_KEY", "MODEL_ENDPOINT", "PEM_LINES",
    # in the environment of the person who started the tree, and named by no agent
    "UNNAMED_TOKEN",
    # on command lines: of a program that prints them, of a hook, of a probe, in a shell line, in a header, in a URL
    "api-key", "token", "hook-password", "probe-secret", "SHELL_KEY", "Authorization", "access_token",
    # in the configuration of a native agent that says them when it is asked how it is
    "config_key", "config_url",
)  # fmt: skip
PLANTED = {name: secrets.token_hex(12) for name in (*NAMES, *ELSEWHERE)}
VALUES = {**PLANTED, "DATABASE_URL": f"postgres://me:{PLANTED['DATABASE_URL']}@db/x"}
FILE = {
    "FILE_KEY": f'{PLANTED["FILE_KEY"]} & "ö" \\n+/=',
    "MODEL_ENDPOINT": f"models/{PLANTED['MODEL_ENDPOINT']}",
    "PEM_LINES": f"-----BEGIN-----\n{PLANTED['PEM_LINES']}\n-----END-----",
}

AGENTS_OF_THE_TREE = {
    "printer", "exits", "long", "notifier", "argued", "sweeps", "native", "says", "shell", "unwell", "unheard", "killed", "asked",
}  # fmt: skip

PRINTS_ALL = "env; env >&2; exit 3"
NOTIFIES = """
import os, socket, sys, time
def say(text):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
say("READY=1\\nSTATUS=logged in with " + os.environ["STATUS_TOKEN"] + " and " + os.environ["FILE_KEY"])
time.sleep(6000)
"""
EXITS = "import os, sys; sys.exit('cannot log in with ' + os.environ['EXIT_TOKEN'])"
LONG_LINE = "import os; print('x' * 300000 + os.environ['LONG_LINE_TOKEN'] + 'y' * 1000, flush=True); print(repr(os.environ)); os._exit(4)"

# In whole lines and byte by byte, on both outputs, as JSON, as repr, as part of a URL, in a traceback, and in the exit.
SAYS_ALL = """
import json, os, sys, time, urllib.parse
given = [*sys.argv[1:], *(os.environ[name] for name in ("FILE_KEY", "MODEL_ENDPOINT", "PEM_LINES") if name in os.environ)]
for text in given:
    print(text, repr(text), json.dumps(text), urllib.parse.quote(text), urllib.parse.quote_plus(text), sep="|", flush=True)
    for byte in (text + chr(10)).encode():
        os.write(2, bytes([byte]))
print(json.dumps({"suptree": "failed", "reason": "could not use " + " ".join(given)}), flush=True)
raise ValueError("no login with " + " and ".join(given))
"""


def tree_file(folder: Path) -> str:
    def env(*names: str) -> str:
        return "{ " + ", ".join(f"{name} = {json.dumps(VALUES[name])}" for name in names) + " }"

    def agent(name: str, args: list[str], *names: str, command: str = sys.executable, more: str = "") -> str:
        table = f'[agents.{name}]\ntype = "process_wrapper"\ncommand = {json.dumps(command)}\nargs = {json.dumps(args)}\n'
        more += "\nstop = { cancel = 0, sigint = 0, sigterm = 1 }"
        return f"{table}env = {env(*names)}\n{more}\n"

    child = f"sh -c 'sleep 6000; :' {PLANTED['SWEPT_TOKEN']}"
    leaves = f'{child} & until [ "$(cat /proc/$!/task/$!/children)" ]; do :; done; exit 5'
    planted = PLANTED
    file = folder / "keys.env"
    file.touch(0o600)
    file.write_text("\n".join(f"{name}={_quoted(value)}" for name, value in FILE.items()))
    from_file = f"env_from = {json.dumps(str(file))}"
    options = [f"--api-key={planted['api-key']}", "--token", planted["token"], "-H", f"Authorization: Bearer {planted['Authorization']}"]
    shell = f"export SHELL_KEY={planted['SHELL_KEY']}; echo key $SHELL_KEY; exit 4"
    hook = json.dumps(
        ["sh", "-c", 'printf "tidied with %s and %s" "$2" "$FILE_KEY"; exit 7', "x", "--hook-password", planted["hook-password"], ""]
    )
    probe = json.dumps(["sh", "-c", 'echo "unwell: $2 $MODEL_ENDPOINT"; exit 1', "x", "--probe-secret", planted["probe-secret"]])
    url = f"http://127.0.0.1:1/well?access_token={planted['access_token']}"
    inherits = f"env_inherit = {json.dumps([*INHERITED[:2], 'AWS_*', 'GITHUB_PAT'])}"
    config = (
        f"config = {{ auth = {{ config_key = '{planted['config_key']}' }}, config_url = 'https://me:{planted['config_url']}@models/' }}"
    )
    temporary = 'restart = "temporary"'
    return "\n".join(
        [
            agent("says", ["-c", SAYS_ALL, *options], more=f"{temporary}\n{from_file}\nhooks = {{ post_exit = {hook} }}"),
            agent("shell", ["-c", shell], command="sh", more=temporary),
            agent(
                "unwell", ["1000"], command="sleep", more=f"{temporary}\n{from_file}\nliveness_probe = {{ exec = {probe}, period = 0.1 }}"
            ),
            agent("unheard", ["1000"], command="sleep", more=f'{temporary}\nliveness_probe = {{ http_get = "{url}", period = 0.1 }}'),
            agent("killed", ["-c", SAYS_ALL.replace("raise ", "") + "time.sleep(6000)"], more=f"{temporary}\n{from_file}"),
            f'[agents.asked]\ntype = "native_llm"\nfactory = "dying_agents:Asked"\n{temporary}\n{config}\nheartbeat = {{ interval = 0.1 }}',
            '[tree]\nname = "vault"\n[supervisors.root]\nmax_restarts = 20\nwithin = 60',
            agent("printer", ["-c", PRINTS_ALL], *NAMES[:8], command="sh", more=f"hold = true\n{inherits}"),
            agent("exits", ["-c", EXITS], "EXIT_TOKEN", more="hold = true"),
            agent("long", ["-c", LONG_LINE], "LONG_LINE_TOKEN", more='restart = "temporary"'),
            agent("notifier", ["-c", NOTIFIES], "STATUS_TOKEN", more=f'ready = "notify"\n{from_file}'),
            agent("argued", ["-c", "exit 1", "--token", PLANTED["ARGUMENT_TOKEN"]], command="sh", more='restart = "temporary"'),
            agent("sweeps", ["-c", leaves], "SWEPT_TOKEN", command="sh", more='restart = "temporary"'),
            '[agents.native]\ntype = "native_llm"\nfactory = "dying_agents:Leaky"\nrestart = "temporary"\n'
            f"env = {env('NATIVE_API_KEY', 'NATIVE_PASSWORD')}\n{inherits}",
        ]
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTree]:
    """A tree in which every agent has said all that it knows."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (*INHERITED, "UNNAMED_TOKEN"):
            patch.setenv(name, VALUES[name])
        with LiveTree(tree_file(tmp_path_factory.mktemp("keys")), sys_path=[AGENTS]) as tree:
            tree.ask(add_one)
            tree.ask(killed_has_said_all)
            kill(tree.agent("killed")["actor_pid"])
            waiting = {*AGENTS_OF_THE_TREE, "added"} - {"notifier"}
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


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def killed_has_said_all(client: Client) -> None:
    async with asyncio.timeout(30), contextlib.aclosing(client.follow_log("killed", 100)) as lines:
        async for line in lines:
            if "could not use" in line:
                return


async def add_one(client: Client) -> None:
    config = {"command": "sh", "args": ["-c", "env; exit 6"], "env": {"ADDED_SECRET": VALUES["ADDED_SECRET"]}}
    await client.start_new(agent_child_from_config("added", "process_wrapper", config, Path.cwd()))


def leaked(text: str | bytes) -> list[str]:
    """The names of the secrets that are in a text, as they are or as base64 and in hexadecimal digits; others leave them as they are."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return [name for name, value in PLANTED.items() if any(form in data for form in forms(value.encode()))]


def forms(value: bytes) -> list[bytes]:
    """A text looks in three ways in base64, as it begins at one place or another of what is encoded; its ends depend on its neighbours."""
    encoded = [base64.b64encode(b"\0" * shift + value)[4:-4] for shift in range(3)]
    return [value, *encoded, value.hex().encode()]


def files_below(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_all_twenty_are_planted_and_would_be_found_out(tree: LiveTree) -> None:
    in_tree_file = [name for name in PLANTED if name not in (*INHERITED, "ADDED_SECRET", "UNNAMED_TOKEN", *FILE)]
    assert (20, in_tree_file) == (len(NAMES), leaked(tree.file.read_bytes()))
    assert ["FILE_KEY"] == leaked(base64.b64encode(b"Basic me:" + PLANTED["FILE_KEY"].encode() + b"!"))


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
    "path",
    [
        *("/status", "/picture", "/events?follow=false"),
        *(
            f"/agents/{name}{rest}"
            for name in (*sorted(AGENTS_OF_THE_TREE), "added")
            for rest in ("", "/explanation", "/logs?lines=1000", "/forecast")
        ),
    ],
)
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
     "logs long -n 1000", "explain says", "explain unwell --json", "explain killed", "explain asked", "status says --json", "logs says",
     "logs killed"],
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
    assert "logged in with [redacted STATUS_TOKEN] and [redacted FILE_KEY]" == tree.agent("notifier")["detail"]
    assert ["-c", "exit 1", "--token", "[redacted]"] == tree.agent("argued")["config"]["args"]
    assert any("x[redacted LONG_LINE_TOKEN]y" in line for line in texts("long"))
    (death,) = tree.ask(lambda client: client.explanation("sweeps"))["deaths"]
    said = texts("says")
    for name in ("FILE_KEY", "MODEL_ENDPOINT", "PEM_LINES"):
        assert 2 <= sum(f"[redacted {name}]" in line for line in said), said
    assert any("Authorization: Bearer [redacted Authorization]" in line for line in said)
    assert any("[hook] tidied with [redacted hook-password] and [redacted FILE_KEY]" in line for line in said)
    ends = {row["id"]: row["last_exit"] for row in tree.status()["agents"]}
    asked = "health_check() raised ValueError: unwell with [redacted config_key] at https://me:[redacted config_url]@models/"
    assert ("unhealthy", asked) == (ends["asked"]["class"], ends["asked"]["reason"])
    assert "unwell: [redacted probe-secret] [redacted MODEL_ENDPOINT]" in ends["unwell"]["reason"]
    assert "well?access_token=[redacted access_token] cannot be reached" in ends["unheard"]["reason"]
    assert "could not use --api-key=[redacted api-key] --token [redacted token]" in ends["says"]["reason"]
    assert "[redacted FILE_KEY]" in "\n".join(tree.ask(lambda client: client.explanation("killed"))["deaths"][0]["evidence"]["out"])
    assert "sh -c sleep 6000; : [redacted SWEPT_TOKEN]" in [process["command"] for process in death["evidence"]["swept"]]


def test_no_command_line_of_the_tree_itself_holds_a_secret(tree: LiveTree) -> None:
    status = tree.status()
    pids = {*status["pids"].values(), *(row["actor_pid"] for row in (*status["agents"], *status["supervisors"]) if row["actor_pid"])}
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes() for pid in pids}
    assert (True, {}) == (len(pids) >= 6, {pid: found for pid, text in commands.items() if (found := leaked(text))})


def test_faults_of_a_tree_file_are_reported_without_its_secrets(tree: LiveTree) -> None:
    text = tree.file.read_text()
    for wrong in (
        text.replace("env = {", "env = [").replace("}", "]"),
        text.replace("config = {", "config = 5\nconfigs = {"),
        text.replace("env_from", "env_form").replace("args = [", "args = 3\nargz = ["),
        text.replace('type = "process_wrapper"', 'type = "native_llm"'),
        text.replace("keys.env", "none.env"),
        text[: len(text) // 2],
    ):
        faulty = tree.home / "faulty.toml"
        faulty.write_text(wrong)
        done = subprocess.run([SUPTREE, "check", str(faulty)], capture_output=True, timeout=60, check=False)
        assert (2, []) == (done.returncode, leaked(done.stdout + done.stderr))
        assert len(done.stderr) > 20
