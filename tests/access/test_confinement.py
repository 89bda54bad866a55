"""Agents that run as somebody else, and within limits: what holds for them, and for whatever they start."""

import contextlib
import json
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from suptree.actors.agent.confinement import CannotConfine, Confinement, other_account
from suptree.actors.kernel.cgroup import OFF_VARIABLE
from suptree.actors.kernel.linux import bound_to_us
from suptree.actors.spec.agent_spec import AgentSpec
from suptree.actors.state import AgentType
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

from .other_user import NOBODY, PYTHON, as_nobody, needs_root

AGENTS = str(Path(__file__).parent / "agents")
WITHIN = 30.0

TELLS = """
import json, os, resource, sys
umask = os.umask(0)
os.umask(umask)
status = dict(line.rstrip('\\n').split(":\\t", 1) for line in open("/proc/self/status"))
open("/dev/stdout", "w").close()
written = {
    "ids": [os.getresuid(), os.getresgid(), os.getgroups()], "umask": umask, "cwd": os.getcwd(), "no_new_privs": status["NoNewPrivs"],
    "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "core": resource.getrlimit(resource.RLIMIT_CORE),
}
with open(sys.argv[1] + ".new", "w") as file:
    json.dump(written, file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
"""
# Forks twice, leaves its session and its group, and lives on.
ESCAPES = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork(): break
    os.setsid()
print("running", flush=True)
time.sleep(1000)
"""


def table(agent: str, argv: list[str], more: str = "") -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = {json.dumps(argv[0])}
args = {json.dumps(argv[1:])}
cwd = "/tmp"
restart = "temporary"
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
{more}
"""


def spec(**fields: Any) -> AgentSpec:
    return AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="x", **fields)


def end_of(tree: LiveTree, agent: str) -> dict[str, Any]:
    status = tree.wait_until(lambda s: all(row["last_exit"] for row in s["agents"] if row["id"] == agent), WITHIN)
    return next(row["last_exit"] for row in status["agents"] if row["id"] == agent)


def written(path: Path) -> dict[str, Any]:
    poll_until(path.exists, WITHIN, f"{path} is written")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@needs_root
@pytest.mark.parametrize("stdin", ["null", "pty"])
def test_a_program_its_hooks_and_its_probe_run_as_its_table_says(short_folder: Path, stdin: str) -> None:
    folder = short_folder
    os.chown(folder, NOBODY.pw_uid, -1)
    argv = {name: [PYTHON, "-SE", "-c", TELLS, str(folder / name)] for name in ("program", "probe", "pre_stop", "post_exit")}
    argv["program"][3] += "\nimport time; time.sleep(1000)"
    confined = f"""
user = "nobody"
umask = "0027"
no_new_privs = true
rlimits = {{ nofile = "256:512", core = 0 }}
stdin = "{stdin}"
liveness_probe = {{ exec = {json.dumps(argv["probe"])}, period = 0.2, timeout = 10 }}
hooks = {{ pre_stop = {json.dumps(argv["pre_stop"])}, post_exit = {json.dumps(argv["post_exit"])} }}
"""
    with LiveTree(table("confined", argv["program"], confined)) as tree:
        for name in ("program", "probe"):
            written(folder / name)
        tree.ask(lambda client: client.stop("confined"))
    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    groups = os.getgrouplist("nobody", gid)
    limits = {"nofile": [256, 512], "core": [0, 0], "umask": 0o27, "no_new_privs": "1", "cwd": "/tmp"}
    expected = {"ids": [[uid] * 3, [gid] * 3, groups], **limits}
    assert [expected] * 4 == [written(folder / name) for name in argv]


def test_without_a_word_of_its_table_an_agent_runs_as_suptree_was_started(tmp_path: Path) -> None:
    before = os.umask(0o031)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    program = table("plain", [PYTHON, "-SE", "-c", TELLS, str(tmp_path / "plain")])
    native = (
        f'[agents.native]\ntype = "native_llm"\nfactory = "writing_agents:Writes"\nconfig = {{ folder = {json.dumps(str(tmp_path))} }}\n'
    )
    try:
        with LiveTree(program + native, sys_path=[AGENTS]):
            found, found_native = written(tmp_path / "plain"), written(tmp_path / "native.limits")
    finally:
        os.umask(before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ids = [list(os.getresuid()), list(os.getresgid()), os.getgroups()]
    assert {"ids": ids, "umask": 0o031, "cwd": "/tmp", "no_new_privs": "0", "nofile": [300, hard], "core": [0, 0]} == found
    # Its own process is its actor, which needs descriptors.
    assert {"umask": 0o031, "nofile": [hard, hard], "no_new_privs": "0"} == found_native


def test_a_native_agent_is_confined_by_its_table(tmp_path: Path) -> None:
    native = f"""
[agents.native]
type = "native_llm"
factory = "writing_agents:Writes"
config = {{ folder = {json.dumps(str(tmp_path))} }}
umask = "0057"
no_new_privs = true
rlimits = {{ nofile = "400:500" }}
"""
    with LiveTree(native, sys_path=[AGENTS]) as tree:
        tree.wait_until_all_run(WITHIN)
        log = tree.launcher.paths.state / "logs" / "native.log"
        assert (0o600, 0o700) == (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777)
    assert {"umask": 0o57, "nofile": [400, 500], "no_new_privs": "1"} == written(tmp_path / "native.limits")


@needs_root
@pytest.mark.parametrize("cgroups", ["auto", "off"])
@pytest.mark.parametrize("how", ["stop", "kill its actor", "kill its launcher"])
def test_what_another_user_started_is_ended_as_well(monkeypatch: pytest.MonkeyPatch, cgroups: str, how: str) -> None:
    monkeypatch.setenv(OFF_VARIABLE, cgroups)
    with LiveTree(table("escapes", [PYTHON, "-SE", "-c", ESCAPES], 'user = "nobody"')) as tree:

        async def three_run(client: Any) -> None:
            seen = 0
            async with contextlib.aclosing(client.follow_log("escapes", 100)) as lines:
                async for line in lines:
                    seen += "running" in line
                    if seen == 3:
                        return

        tree.ask(three_run)
        theirs = [process for process in tree.processes() if process.uids().real == NOBODY.pw_uid]
        assert 3 == len(theirs)
        if how == "stop":
            tree.ask(lambda client: client.stop("escapes"))
        elif how == "kill its actor":
            kill(tree.agent("escapes")["actor_pid"])
            assert "crash" == end_of(tree, "escapes")["class"]
        else:
            kill(tree.launcher.process.pid)
            tree.wait_for_end()
            tree.expect_nothing_left()
        assert [] == [process for process in theirs if process.is_running() and process.status() != "zombie"]


@needs_root
@pytest.mark.parametrize(
    ("command", "more", "reason"),
    [
        ("true", 'cwd = "/root"', "cwd /root, as user nobody: Permission denied"),
        ("./mine", 'cwd = "FOLDER"', "command 'FOLDER/mine' cannot be started as user nobody: Permission denied"),
    ],
)
def test_what_its_user_may_not_do_is_said_in_its_reason(tmp_path: Path, command: str, more: str, reason: str) -> None:
    with LiveTree(table("a", ["true"]).replace('cwd = "/tmp"', "")) as tree:
        folder = tree.home / "program"
        folder.mkdir()
        (folder / "mine").write_text("#!/bin/sh\n")
        (folder / "mine").chmod(0o700)
        tree.home.chmod(0o711)
        folder.chmod(0o755)
        config = {"command": command, "user": "nobody", "cwd": more.split('"')[1].replace("FOLDER", str(folder))}
        if command == "./mine":
            config["command"] = str(folder / "mine")

        async def start(client: Any) -> dict[str, Any]:
            from suptree.supervisors.config.child_from_config import agent_child_from_config  # noqa: PLC0415

            answer: dict[str, Any] = await client.request_start_child(agent_child_from_config("b", "process_wrapper", config, "/"), "root")
            return answer

        tree.ask(start)
        assert {"class": "permanent", "reason": reason.replace("FOLDER", str(folder))}.items() <= end_of(tree, "b").items()


@needs_root
def test_the_kernel_kills_what_runs_as_another_user_when_its_actor_dies() -> None:
    reader, writer = os.pipe()
    owner = os.fork()
    if owner == 0:
        confinement = Confinement(spec(user="nobody", cwd="/tmp"), other_account("nobody"), umask=0o22, nofile=None)
        started = subprocess.Popen(["sleep", "1000"], preexec_fn=bound_to_us(confinement.enter))  # noqa: PLW1509
        os.write(writer, str(started.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    program = psutil.Process(int(os.read(reader, 20)))
    theirs = program.uids().real
    os.waitpid(owner, 0)
    _, alive = psutil.wait_procs([program], timeout=WITHIN)
    for process in alive:
        process.kill()
    assert (NOBODY.pw_uid, []) == (theirs, alive)


@needs_root
def test_who_is_not_root_is_nobody_else() -> None:
    def refusal(user: str) -> str:
        try:
            return str(other_account(user))
        except CannotConfine as refused:
            return str(refused)

    assert [
        "user 'root' needs root: only a tree that runs as root may start agents as somebody else",
        "None",
        "None",
        "user 'nobody:root' needs root: only a tree that runs as root may start agents as somebody else",
    ] == as_nobody(lambda: [refusal(user) for user in ("root", "nobody", str(NOBODY.pw_uid), "nobody:root")])


@needs_root
def test_a_limit_that_may_not_be_raised_is_reported() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def enter() -> str:
        try:
            Confinement(spec(rlimits={"nofile": (hard, hard + 1)}), None, umask=0o22, nofile=None).enter()
        except CannotConfine as refused:
            return str(refused)
        return "entered"

    assert as_nobody(enter).startswith("rlimits.nofile: ")


def test_what_fails_in_the_new_process_is_reported_in_this_one() -> None:
    # More than any kernel opens.
    confinement = Confinement(spec(rlimits={"nofile": (2**40, 2**40)}), None, umask=0o22, nofile=None)
    with pytest.raises(CannotConfine, match=r"^rlimits\.nofile: "), confinement.starting() as confine:
        subprocess.Popen(["true"], preexec_fn=confine)  # noqa: PLW1509  (there are no threads).wait()
