"""A tree does not start when Thespian is no longer sealed: it is tried at every start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suptree.control.launcher.handed_over import hand_over
from suptree.control.launcher.launch_spec import LaunchSpec

LAUNCHER = """
import socket
import sys
from pathlib import Path
from typing import Any
from thespian.system.transport.TCPTransport import ExternalTransportCopy, TCPTransport
from suptree.control.launcher import launcher
from suptree.control.seal import actor_system
from suptree.control.seal.sealed_socket import SealedSocket
from suptree.control.seal.sealed_transport import SealedTransport

class Unsealed(TCPTransport):
    inherited = frozenset()

    def external_transport_clone(self):
        return type(self)(ExternalTransportCopy(), self._adminAddr, self.txOnly, False)

class Deaf(SealedTransport):
    def _count(self, why):
        pass

kept = []

{break_it}
sys.exit(launcher.main())
"""
TREE = """
[tree]
name = "unsealed"
[agents.agent]
type = "process_wrapper"
command = "touch"
args = ["{mark}"]
"""
BROKEN = {
    "everything is unpickled": ("actor_system._Transport.__bases__ = (Unsealed,)", "which unpickled it"),
    "nothing is counted": ("actor_system._Transport.__bases__ = (Deaf,)", "which did not say within 5 s that it refused it"),
    "connections stay": (
        "SealedSocket.close = lambda one: kept.append(one) if one.refused else socket.socket.close(one)",
        "which kept its connection open for 5 s",
    ),
    "a hook has gone": ("del TCPTransport.new_socket", "this Thespian has no TCPTransport.new_socket(self, op, args, kw)"),
    "a hook has changed": (
        "TCPTransport._handleReadableIncoming = lambda self, inc, exclusive=False: None",
        "this Thespian has no TCPTransport._handleReadableIncoming(self, inc, has_exclusive_flag)",
    ),
    "the key is known": (
        "(Path(sys.argv[2]) / 'seal.key').write_bytes(bytes(32)); (Path(sys.argv[2]) / 'seal.key').chmod(0o644)",
        "seal.key can be read by others: make another key with `suptree key --rotate --tree unsealed`",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_unsealed_tree_does_not_start(tmp_path: Path, how: str) -> None:
    break_it, words = BROKEN[how]
    mark, home = tmp_path / "an agent ran", tmp_path / "home"
    state = home / "trees" / "unsealed"
    state.mkdir(parents=True)
    (tmp_path / "tree.toml").write_text(TREE.format(mark=mark))
    reading, writing = os.pipe()
    launch = LaunchSpec(name="unsealed", file=str(tmp_path / "tree.toml"), ready_fd=writing)
    with (tmp_path / "log").open("w+") as log, os.fdopen(reading) as said:
        ended = subprocess.run(
            [sys.executable, "-c", LAUNCHER.replace("{break_it}", break_it), launch.to_json(), str(state)],
            pass_fds=[writing], stdin=hand_over({}), stdout=log, stderr=log,
            timeout=60, check=False, env={**os.environ, "SUPTREE_HOME": str(home)},
        )  # fmt: skip
        os.close(writing)
        line = said.readline()
        log.seek(0)
        assert line, log.read()
    assert (1, "SuptreeError") == (ended.returncode, json.loads(line)["kind"])
    assert words in json.loads(line)["error"]
    assert (False, False) == (mark.exists(), (state / "unsealed").exists())
