"""A process chooses its own name, command line and environment: none of ours stops, ends or fills its memory with what it reads there."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from suptree.actors.kernel.cgroup import own_groups
from suptree.actors.kernel.process_texts import command_line, variable
from suptree.control.trees.leftovers import processes_of
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

from .other_user import NOBODY, PYTHON, needs_root

WITHIN = 60.0
pytestmark = needs_root


# `has_huge_texts` gives a process a command line and an environment of 64 GiB, which take no memory (prctl(2), PR_SET_MM_MAP);
# `has_no_name` gives it a name that is not UTF-8, and an empty command line.
CHANGES = """
import ctypes, os, struct, time
libc = ctypes.CDLL(None)
with open("/proc/self/stat", "rb") as file:
    field = dict(enumerate(file.read().rpartition(b")")[2].split(), start=3))
def has_huge_texts():
    size = 64 * 2**30
    libc.mmap.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    begin = libc.mmap(None, size, 3, 0x4022, -1, 0)
    ctypes.memset(begin, ord("x"), 100)
    code, data = (int(field[26]), int(field[27])), (int(field[45]), int(field[46]))
    heap, stack, texts = (int(field[47]), libc.sbrk(0)), int(field[28]), (begin, begin + size - 4096)
    layout = struct.pack("=12QII", *code, *data, *heap, stack, *texts, *texts, 0, 0, 2**32 - 1)
    return libc.prctl(35, ctypes.c_ulong(14), layout, ctypes.c_ulong(len(layout)), ctypes.c_ulong(0)) == 0
def has_no_name():
    libc.prctl(15, b"\\xff\\xfe)\\n(x", 0, 0, 0)
    ctypes.memset(int(field[48]), 0, int(field[49]) - int(field[48]))
"""
LEAVES = f"""
{CHANGES}
ready, done = os.pipe()
if os.fork() == 0:
    os.setsid()
    CHANGE()
    os.write(done, b".")
    time.sleep(1000)
os.read(ready, 1)
"""


def table(agent: str, program: str) -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{PYTHON}"
args = {json.dumps(["-SE", "-c", program])}
cwd = "/tmp"
restart = "temporary"
user = "nobody"
"""


@pytest.fixture
def huge() -> Iterator[subprocess.Popen[bytes]]:
    """A process of another user, of no tree, whose command line and environment are huge."""
    program = f"{CHANGES}print(has_huge_texts(), flush=True)\ntime.sleep(1000)"
    with subprocess.Popen(
        [PYTHON, "-SE", "-c", program], user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[], cwd="/", stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"True\n":
                pytest.skip("this kernel has no PR_SET_MM_MAP")
            yield process
        finally:
            process.kill()


def test_a_text_of_a_process_is_read_up_to_a_bound(huge: subprocess.Popen[bytes]) -> None:
    before = psutil.Process().memory_info().rss
    began = time.monotonic()
    assert [b"x" * 100, "…".encode()] == [argument for argument in command_line(huge.pid) if argument]
    assert variable(huge.pid, "PATH") is None
    assert [] == processes_of("no-such-run")
    assert time.monotonic() - began < 10
    assert psutil.Process().memory_info().rss - before < 200 * 2**20


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["1000", "1000", "0" * 100_000], [b"sleep", b"1000", b"1000"]), (["1000"] * 600, [b"sleep", *[b"1000"] * 499])],
    ids=["long", "many"],
)
def test_a_cut_argument_is_left_out_for_it_may_be_a_secret(arguments: list[str], shown: list[bytes]) -> None:
    with subprocess.Popen(["sleep", *arguments]) as process:
        try:
            # A process that executes a program just now has no command line.
            assert [*shown, "…".encode()] == poll_until(lambda: command_line(process.pid), WITHIN, "a command line")
        finally:
            process.kill()


@pytest.mark.parametrize("change", ["has_huge_texts", "has_no_name"])
def test_whatever_a_process_calls_itself_its_agent_ends_and_the_tree_goes_on(change: str) -> None:
    sleeps = table("other", "import time; time.sleep(1000)")
    with LiveTree(sleeps + table("leaves", LEAVES.replace("CHANGE", change))) as tree:
        row = tree.wait_until(lambda s: s["agents"][1]["last_exit"] is not None, WITHIN)["agents"][1]
        assert ("normal", "exit 0") == (row["last_exit"]["class"], row["last_exit"]["reason"])
        (swept,) = [event["swept"] for event in tree.events() if event["event"] == "agent_exited"]
        assert 1 == len(swept)
        assert not psutil.pid_exists(swept[0])
        # Neither was the actor of the agent ended in its place, nor anything above it.
        assert [] == [event for event in tree.events() if event["event"] in ("agent_suspect", "supervisor_exited", "supervisor_suspect")]
        assert ["running"] == [agent["status"] for agent in tree.status()["agents"] if agent["id"] == "other"]


def test_a_variable_is_found_among_many_and_only_by_its_whole_name() -> None:
    environment = {"FIRST": "1", **{f"E{number}": "" for number in range(20_000)}, "LAST": "a=b"}
    with subprocess.Popen(["sleep", "1000"], env=environment) as process:
        try:
            # A process that executes a program just now has no environment.
            poll_until(lambda: variable(process.pid, "FIRST"), WITHIN)
            names = ("FIRST", "E7", "LAST", "AST", "MISSING", "LAS")
            assert [b"1", b"", b"a=b", None, None, None] == [variable(process.pid, name) for name in names]
        finally:
            process.kill()


def explained(tree: LiveTree, agent_id: str) -> dict[str, Any]:
    return tree.ask(lambda client: client.explanation(agent_id))


def test_what_is_left_behind_by_another_user_is_noted_by_name() -> None:
    sleeps = "import time; time.sleep(1000)"
    own = table("own", sleeps).replace('user = "nobody"', "")
    with LiveTree(table("other", sleeps) + own) as tree:
        tree.wait_until_all_run(WITHIN)
        for name in ("other", "own"):
            kill(tree.agent(name)["actor_pid"])
            tree.wait_until(lambda s, name=name: all(row["last_exit"] for row in s["agents"] if row["id"] == name), WITHIN)  # type: ignore[misc]
        deaths = {name: explained(tree, name)["deaths"][0] for name in ("other", "own")}
    noted = {name: {process["command"] for process in death["evidence"]["swept"]} for name, death in deaths.items()}
    # What has died meanwhile has no command line any more.
    assert {"[python3]"} == noted["other"]
    assert noted["own"] <= {"[python3]", f"{PYTHON} -SE -c {sleeps}"}


def test_a_mount_may_have_any_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Anybody mounts something where there is `fusermount`."""
    folder = os.fsencode(tmp_path_factory.mktemp("mounts")) + b"/\xff\r \x0b\xc2\x85cgroup2"
    os.mkdir(folder)  # noqa: PTH102  (a name that is no text)
    shows = "from suptree.actors.kernel.cgroup import own_groups; print(own_groups())"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$1" && exec "$2" -c "$3"', "sh", folder, sys.executable, shows],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("root may mount nothing here")
    assert (f"{own_groups()}\n", "") == (done.stdout, done.stderr)


def test_a_reason_that_no_variable_can_hold_reaches_the_hook_escaped() -> None:
    says = r"""print('{"suptree": "failed", "reason": "a\\u0000b \\ud800 c"}'); raise SystemExit(3)"""
    hook = json.dumps(["sh", "-c", 'echo "$SUPTREE_EXIT_CLASS: $SUPTREE_EXIT_REASON"'])
    with LiveTree(f"{table('says', says)}hooks = {{ post_exit = {hook} }}\n") as tree:
        row = tree.wait_until(lambda s: s["agents"][0]["last_exit"] is not None, WITHIN)["agents"][0]
        assert "failed" == row["last_exit"]["class"]
        *_, line = tree.ask(lambda client: client.log_lines("says"))
        assert line.endswith(r" err [hook] failed: a\x00b \ud800 c; exit 3")
