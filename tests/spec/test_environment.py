"""What an agent finds in its environment, and what not."""

from typing import Any

import pytest

from suptree.actors.agent.confinement import Account
from suptree.actors.agent.environment import agent_environment, base_environment, chosen, launcher_environment
from suptree.actors.base.messages import Begin, Context, Services
from suptree.actors.spec.agent_spec import AgentSpec, HeartbeatSpec
from suptree.actors.state import AgentType

CONTEXT = Context("t", "run-1", "/state", "/runtime", shared_dir="/run/suptree/k")
OURS = {"SUPTREE_AGENT_ID": "a", "SUPTREE_RUN_ID": "run-1", "SUPTREE_RESTART_COUNT": "2", "NOTIFY_SOCKET": "/runtime/notify.sock"}
MACHINE = {
    "PATH": "/bin", "HOME": "/home/me", "USER": "me", "LC_ALL": "C", "XDG_RUNTIME_DIR": "/run/user/1", "SSL_CERT_FILE": "/c",
    "SUPTREE_HOME": "/h", "TMPDIR": "/t",
}  # fmt: skip
OTHERS = {
    "API_KEY": "k", "AWS_A": "1", "AWS_B": "2", "PYTHONPATH": "/p", "VIRTUAL_ENV": "/v", "LD_PRELOAD": "/l", "SSH_AUTH_SOCK": "/s",
    "HTTPS_PROXY": "http://u:p@x", "THESPIAN_X": "1", "DBUS_SESSION_BUS_ADDRESS": "d",
    "WATCHDOG_USEC": "5", "LISTEN_FDS": "3", "NOTIFY_SOCKET": "/theirs", "SUPTREE_RUN_ID": "outer", "SUPTREE_AGENT_ID": "outer",
}  # fmt: skip
ACCOUNT = Account("bot", 1234, 1234, (1234,), "/srv/bot", "/bin/sh")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {**MACHINE, **OTHERS})


def begin(**fields: Any) -> Begin:
    spec = AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="sh", **fields)
    return Begin("a", 3, 2, spec, CONTEXT, Services())


def test_an_agent_gets_what_every_program_needs_and_what_suptree_tells_it() -> None:
    assert {**MACHINE, **OURS} == agent_environment(begin(), {}, None)


def test_its_table_adds_to_that_and_the_most_particular_wins() -> None:
    spec = {"inherited": {"A": "inherited", "B": "inherited", "C": "inherited"}, "env": {"A": "env", "PATH": "/own", "SUPTREE_RUN_ID": "x"}}
    found = agent_environment(begin(**spec), {"A": "file", "B": "file"}, None)
    assert {**MACHINE, "PATH": "/own", "A": "env", "B": "file", "C": "inherited", **OURS} == found


def test_a_program_that_is_to_ping_finds_how_often_in_its_environment() -> None:
    found = agent_environment(begin(watchdog=True, heartbeat=HeartbeatSpec(dead_after=12.0)), {}, None)
    assert "12000000" == found["WATCHDOG_USEC"]


def test_another_user_has_a_home_of_its_own_and_hears_nothing_of_ours() -> None:
    expected = {
        "PATH": "/bin", "LC_ALL": "C", "SSL_CERT_FILE": "/c", "HOME": "/srv/bot", "USER": "bot", "LOGNAME": "bot", "SHELL": "/bin/sh",
    }  # fmt: skip
    assert expected == base_environment(ACCOUNT)
    assert "/run/suptree/k/notify-1234.sock" == agent_environment(begin(), {}, ACCOUNT)["NOTIFY_SOCKET"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), set()),
        (("API_KEY", "NOT_SET"), {"API_KEY"}),
        (("AWS_*",), {"AWS_A", "AWS_B"}),
        (("AWS",), set()),
        (("*_KEY", "aws_*"), {"API_KEY"}),
        # What was said to another process is nobody else's.
        (("*",), {*MACHINE, *OTHERS} - {"WATCHDOG_USEC", "LISTEN_FDS", "NOTIFY_SOCKET", "SUPTREE_RUN_ID", "SUPTREE_AGENT_ID"}),
        (("WATCHDOG_USEC", "NOTIFY_*"), set()),
    ],
)
def test_what_is_named_is_inherited(patterns: tuple[str, ...], expected: set[str]) -> None:
    assert expected == set(chosen({**MACHINE, **OTHERS}, patterns))


def test_a_launcher_is_started_without_what_is_for_agents() -> None:
    assert {*MACHINE, "PYTHONPATH", "LD_PRELOAD"} == set(launcher_environment({**MACHINE, **OTHERS}))
    # An empty entry would be the folder that it is started in.
    assert {"PYTHONPATH": "/a:b"} == launcher_environment({"PYTHONPATH": ":/a::b:"})
