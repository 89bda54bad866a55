"""What an agent of another user inherits of root: no key, descriptor or capability, and no folder that it could not enter."""

import asyncio
import contextlib
import ctypes
import json
import platform
from pathlib import Path

import pytest

from suptree.actors.errors import StartFailed
from suptree.actors.kernel.linux import leave_session_keyring
from suptree.control.client.client import Client
from suptree.testing import LiveTree

from .other_user import PYTHON, needs_root

WITHIN = 30.0
pytestmark = needs_root

LIBC = ctypes.CDLL(None, use_errno=True)
ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(platform.machine(), (0, 0))
READ, UNLINK = 11, 9
SESSION_KEYRING = ctypes.c_int(-3)

READS_KEY = f"""
import ctypes, sys
libc, found = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(100)
length = libc.syscall({KEYCTL}, {READ}, int(sys.argv[1]), found, 100)
print("reads", found.value.decode() if length > 0 else "nothing", flush=True)
import time; time.sleep(1000)
"""
LOOKS = r"""
import json, os, re, time
status, descriptors = open("/proc/self/status").read(), {}
for number in range(4096):
    try:
        descriptors[number] = os.readlink(f"/proc/self/fd/{number}").split(":")[0]
    except OSError:
        pass
print("looks " + json.dumps({
    "descriptors": descriptors, "capabilities": re.findall(r"Cap(?:Inh|Prm|Eff|Amb):\s+(\w+)", status),
    "session": os.getsid(0) == os.getpid(), "terminal": open("/proc/self/stat").read().rpartition(")")[2].split()[4],
}), flush=True)
time.sleep(1000)
"""


def table(agent: str, program: str, *arguments: str) -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{PYTHON}"
args = {json.dumps(["-SE", "-c", program, *arguments])}
cwd = "/"
user = "{agent}"
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
"""


def said(tree: LiveTree, agent: str, word: str) -> str:
    """What it printed after a word."""

    async def wait(client: Client) -> str:
        async with asyncio.timeout(WITHIN), contextlib.aclosing(client.follow_log(agent, 10)) as lines:
            async for line in lines:
                if f" {word} " in line:
                    return line.partition(f" {word} ")[2]
        raise AssertionError(agent)

    return tree.ask(wait)


@pytest.fixture
def key() -> int:
    """A key in the session keyring of this process, which a login would have put there for root."""
    if KEYCTL == 0 or LIBC.syscall(KEYCTL, 1, None) < 0:
        pytest.skip("this kernel keeps no keys, or does not let us")
    secret = b"ticket-of-root"
    number: int = LIBC.syscall(ADD_KEY, b"user", b"suptree-test", secret, len(secret), SESSION_KEYRING)
    assert number > 0
    return number


def test_an_agent_of_another_user_reads_no_key_of_the_session_in_which_root_started_the_tree(key: int) -> None:
    with LiveTree(table("nobody", READS_KEY, str(key)) + table("daemon", READS_KEY, str(key))) as tree:
        assert ["nothing", "nothing"] == [said(tree, agent, "reads") for agent in ("nobody", "daemon")]
    buffer = ctypes.create_string_buffer(100)
    # Root itself still can, and an agent that is root too.
    assert (14, b"ticket-of-root") == (LIBC.syscall(KEYCTL, READ, key, buffer, 100), buffer.value)
    with LiveTree(table("nobody", READS_KEY, str(key)).replace('user = "nobody"\n', "")) as tree:
        assert "ticket-of-root" == said(tree, "nobody", "reads")


def test_where_the_kernel_keeps_no_keys_there_is_nothing_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "none that we know")
    leave_session_keyring()


def test_an_agent_of_another_user_inherits_its_three_descriptors_no_capability_and_no_terminal() -> None:
    with LiveTree(table("nobody", LOOKS)) as tree:
        found = json.loads(said(tree, "nobody", "looks"))
    expected = {
        "descriptors": {"0": "/dev/null", "1": "pipe", "2": "pipe"},
        "capabilities": ["0" * 16] * 4,
        "session": True,
        "terminal": "0",
    }
    assert expected == found


def test_an_agent_of_another_user_begins_in_no_folder_that_it_could_not_enter(tmp_path: Path) -> None:
    """The folder of the tree file is open, and one above it is closed."""
    folder = tmp_path / "closed" / "open"
    folder.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    file = folder / "tree.toml"
    file.write_text(table("nobody", LOOKS).replace('cwd = "/"\n', ""))
    with pytest.raises(StartFailed, match=f"cwd {folder}, as user nobody: Permission denied"), LiveTree(file):
        pass
