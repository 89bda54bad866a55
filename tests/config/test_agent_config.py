from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from suptree.actors import AgentType
from suptree.actors.errors import ConfigError, SpecError
from suptree.actors.exits import ExitClass
from suptree.actors.spec.agent_spec import AgentSpec, HookSpec
from suptree.supervisors.config.agent_config import SECONDS_BEYOND_THE_LADDER
from suptree.supervisors.config.child_from_config import DEFAULT_FACTORY, agent_child_from_config
from suptree.supervisors.config.wire import decode_child, encode_child
from suptree.supervisors.spec.child_spec import ChildSpec, RestartType


def problems(agent_id: Any, agent_type: Any, config: Any, folder: Path | str = "/") -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as refused:
        agent_child_from_config(agent_id, agent_type, config, folder)
    return refused.value.problems


def restarts(config: Mapping[str, Any]) -> tuple[RestartType, int | None]:
    child = agent_child_from_config("a", "process_wrapper", {"command": "sh", **config}, "/")
    return child.restart, child.max_restarts


def test_a_small_configuration_makes_an_agent_that_is_not_restarted(tmp_path: Path) -> None:
    config = {"name": "Coder", "role": "coder", "model": "m1", "command": "sh", "args": ["-c", "true"]}

    expected = ChildSpec(
        id="coder",
        restart=RestartType.TEMPORARY,
        shutdown=11.0,
        max_restarts=3,
        start=AgentSpec(
            agent_id="coder",
            agent_type=AgentType.PROCESS_WRAPPER,
            name="Coder",
            role="coder",
            model="m1",
            command="sh",
            args=("-c", "true"),
            cwd=str(tmp_path),
        ),
    )
    assert expected == agent_child_from_config("coder", "process_wrapper", config, tmp_path)


def test_the_type_may_be_a_word_or_a_member() -> None:
    config = {"command": "sh"}

    assert agent_child_from_config("a", "process_wrapper", config, "/") == agent_child_from_config(
        "a", AgentType.PROCESS_WRAPPER, config, "/"
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, (RestartType.TEMPORARY, 3)),
        ({"auto_restart": False}, (RestartType.TEMPORARY, 3)),
        ({"auto_restart": True}, (RestartType.PERMANENT, 3)),
        ({"auto_restart": True, "max_restarts": 0}, (RestartType.PERMANENT, 0)),
        ({"auto_restart": False, "max_restarts": 5}, (RestartType.TEMPORARY, 5)),
        ({"restart": "transient"}, (RestartType.TRANSIENT, 3)),
        ({"restart": RestartType.PERMANENT, "max_restarts": 9}, (RestartType.PERMANENT, 9)),
    ],
)
def test_restarts_are_off_until_asked_for_and_limited_to_three(config: Mapping[str, Any], expected: tuple[RestartType, int | None]) -> None:
    assert expected == restarts(config)


def test_none_counts_as_not_given() -> None:
    config = {"command": "sh", "cwd": None, "name": None, "restart": None, "auto_restart": True}

    assert agent_child_from_config("a", "process_wrapper", config, "/").restart is RestartType.PERMANENT


def test_python_values_are_taken_as_well_as_those_of_toml(tmp_path: Path) -> None:
    spec = agent_child_from_config("a", "process_wrapper", {"command": Path("/bin/sh"), "args": ("-c",), "cwd": tmp_path}, "/").start

    assert ("/bin/sh", ("-c",), str(tmp_path)) == (spec.command, spec.args, spec.cwd)


def test_what_the_tree_file_knows_is_known_here_too() -> None:
    child = agent_child_from_config(
        "a", "process_wrapper", {"command": "sh", "backoff": True, "heartbeat": {"dead_after": 2}, "limits": {"memory_max": "1M"}}, "/"
    )

    assert (1.0, 2.0, 2**20) == (child.backoff and child.backoff.base, child.start.heartbeat.dead_after, child.start.limits.memory_max)


def test_the_configuration_is_not_changed() -> None:
    config = {"command": "sh", "cwd": None}

    agent_child_from_config("a", "process_wrapper", config, "/")

    assert {"command": "sh", "cwd": None} == config


def test_every_fault_is_reported_in_one_answer() -> None:
    config = {"comand": "sh", "max_restarts": "3", "type": "x", "env": {"A": 1}, 5: 6}

    expected = [
        ("agent_id", '"top" is reserved'),
        ("type", "is given beside the configuration, not in it"),
        ("agent_type", 'must be one of "native_llm", "process_wrapper", not "native-llm"; did you mean "native_llm"?'),
        ("env.A", "must be a string, not a whole number"),
        ("max_restarts", "must be a whole number, not a string"),
        ("comand", 'unknown key; did you mean "command"?'),
        ("[5]", "Keys should be strings"),
    ]
    assert expected == problems("top", "native-llm", config)


def test_a_native_agent_of_a_program_is_the_shipped_one_unless_it_names_a_factory() -> None:
    spec = agent_child_from_config("a", "native_llm", {"name": "A"}, "/")
    assert (DEFAULT_FACTORY, "A") == (spec.start.factory, spec.start.name)


@pytest.mark.parametrize("agent_id", ["", "a b", "-a", "a/b", "x" * 65, "é", "a\n", 5, None])
def test_an_id_that_cannot_be_a_file_name_is_refused(agent_id: Any) -> None:
    expected = [("agent_id", "an id is 1 to 64 letters (a-z, A-Z), digits, or any of - _ . and starts with a letter or a digit")]
    assert expected == problems(agent_id, "process_wrapper", {"command": "sh"})


def test_a_configuration_that_is_no_mapping_is_refused() -> None:
    assert [("config", "must be a mapping, not a list")] == problems("a", "process_wrapper", ["command", "sh"])


def test_what_a_program_is_run_with_reaches_its_spec() -> None:
    config = {
        "command": "sh",
        "hooks": {"pre_stop": ["drain", "--now"], "post_exit": ["tidy"], "timeout": 3},
        "exit_codes": {3: "quota", "4": "normal"},
        "min_uptime": 0,
        "stop": {"cancel": 0, "sigint": 1, "sigterm": 2},
    }
    child = agent_child_from_config("a", "process_wrapper", config, "/")
    spec = child.start

    assert HookSpec(pre_stop=("drain", "--now"), post_exit=("tidy",), timeout=3) == spec.hooks
    assert ({3: ExitClass.QUOTA, 4: ExitClass.NORMAL}, 0) == (spec.exit_codes, spec.min_uptime)
    assert 1 + 2 + 2 * 3 + SECONDS_BEYOND_THE_LADDER == child.shutdown


def test_faults_of_what_a_program_is_run_with_are_reported_with_what_would_be_right() -> None:
    config = {"command": "sh", "hooks": {"pre_stop": "drain", "prestop": []}, "exit_codes": {"256": "quota", "3": "hung"}, "min_uptime": -1}

    expected = {
        "hooks.pre_stop": "must be a list, not a string",
        "hooks.prestop": 'unknown key; did you mean "pre_stop"?',
        "exit_codes.256": "an exit status is a whole number from 0 to 255",
        "exit_codes.3": 'must be one of "normal", "permanent", "quota", "crash", "failed", not "hung"',
        "min_uptime": "must be 0 or more, not -1",
    }
    assert expected == dict(problems("a", "process_wrapper", config))


def test_a_native_agent_has_neither_hooks_nor_exit_codes() -> None:
    config = {"factory": "a.b:C", "hooks": {"pre_stop": ["x"]}, "exit_codes": {3: "quota"}}

    expected = {"hooks": "a native_llm has no hooks, but its own shutdown()", "exit_codes": "a native_llm has no exit status"}
    assert expected == dict(problems("a", "native_llm", config))


def test_a_native_agent_gets_no_time_for_the_signals_that_it_is_not_sent() -> None:
    config = {"factory": "a.b:C", "stop": {"cancel": 1, "sigint": 10, "sigterm": 20}}

    assert 1 + SECONDS_BEYOND_THE_LADDER == agent_child_from_config("a", "native_llm", config, "/").shutdown


def test_what_an_agent_is_given_and_confined_by_reaches_its_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "1")
    monkeypatch.setenv("MY_OTHER", "2")
    (tmp_path / "keys.env").write_text("A=1")
    (tmp_path / "keys.env").chmod(0o600)
    config = {
        "command": "sh",
        "env_from": "keys.env",
        "env_inherit": ["MY_*", "NOT_SET"],
        "user": "nobody",
        "umask": "0027",
        "no_new_privs": True,
        "rlimits": {"nofile": "64:128", "core": 0, "as": "1G", "cpu": "infinity", "stack": "1M:infinity", "nproc": "7"},
    }
    spec = agent_child_from_config("a", "process_wrapper", config, tmp_path).start

    limits = {"nofile": (64, 128), "core": (0, 0), "as": (2**30, 2**30), "cpu": (-1, -1), "stack": (2**20, -1), "nproc": (7, 7)}
    assert (str(tmp_path / "keys.env"), {"MY_KEY": "1", "MY_OTHER": "2"}, {}) == (spec.env_from, spec.inherited, spec.env)
    assert ("nobody", 0o27, True, limits) == (spec.user, spec.umask, spec.no_new_privs, spec.rlimits)
    assert spec == decode_child(encode_child(agent_child_from_config("a", "process_wrapper", config, tmp_path))).start


def test_every_fault_of_what_an_agent_is_given_and_confined_by_is_reported_in_one_answer(tmp_path: Path) -> None:
    (tmp_path / "open.env").write_text("A=1")
    (tmp_path / "open.env").chmod(0o644)
    config = {
        "command": "sh",
        "env_from": "open.env",
        "env_inherit": ["A", "A-B", "x=y"],
        "user": "nobody-of-that-name",
        "umask": 77,
        "no_new_privs": 1,
        "rlimits": {"nofiles": 1, "nofile": "9:3", "core": "some", "as": -1, "cpu": "1G", "nproc": "infinity:5", "data": True},
    }
    name = 'must be the name of an environment variable, or one with * for any characters, such as "AWS_*"'
    count = 'must be a whole number, 0 or more, or "infinity", or two of these as "soft:hard"'
    size = 'must be a number of bytes or a size such as "512M", or "infinity", or two of these as "soft:hard"'

    expected = {
        "env_from": f"may be read by others (mode 0644): chmod 600 {tmp_path}/open.env",
        "env_inherit[1]": name,
        "env_inherit[2]": name,
        "user": "there is no user 'nobody-of-that-name' on this machine",
        "umask": 'must be octal digits in quotes, such as "0077", or 0o77: 77 is a decimal number, and would be 0o115',
        "no_new_privs": "must be true or false, not a whole number",
        "rlimits.nofiles": 'unknown key; did you mean "nofile"?',
        "rlimits.nofile": "must have a soft limit that is not above the hard one, not 9:3",
        "rlimits.nproc": "must have a soft limit that is not above the hard one, not infinity:5",
        "rlimits.core": size,
        "rlimits.as": size,
        "rlimits.data": size,
        "rlimits.cpu": count,
    }
    assert expected == dict(problems("a", "process_wrapper", config, tmp_path))


@pytest.mark.parametrize(
    ("umask", "expected"), [("0", 0), ("022", 0o22), ("26", 0o26), ("033", 0o33), ("0115", 0o115), ("0777", 0o777), (0o77, 0o77), (0, 0)]
)
def test_a_umask_is_octal(umask: Any, expected: int) -> None:
    assert expected == agent_child_from_config("a", "process_wrapper", {"command": "sh", "umask": umask}, "/").start.umask


@pytest.mark.parametrize("umask", ["u=rwx", "1777", "8", "", -1, 0o1000, True, 2.5, 22])
def test_another_umask_is_refused(umask: Any) -> None:
    ((place, what),) = problems("a", "process_wrapper", {"command": "sh", "umask": umask})
    assert ("umask", True) == (place, what.startswith("must be octal digits in quotes"))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("no:body:x", 'must be "user" or "user:group"'),
        ("nobody:", 'must be "user" or "user:group"'),
        ("nobody:no-group-of-that-name", "there is no group 'no-group-of-that-name' on this machine"),
        ("nobody:99999999999", "there is no group '99999999999' on this machine"),
        ("9" * 5000, f"there is no user '{'9' * 5000}' on this machine"),
        ("4000000000", "there is no user '4000000000' on this machine"),
    ],
)
def test_a_user_that_there_is_not_is_refused(user: str, expected: str) -> None:
    assert [("user", expected)] == problems("a", "process_wrapper", {"command": "sh", "user": user})


def test_a_native_agent_is_confined_but_has_no_user_of_its_own() -> None:
    config = {"factory": "a.b:C", "umask": "077", "no_new_privs": True, "rlimits": {"nofile": 512}}
    spec = agent_child_from_config("a", "native_llm", config, "/").start
    assert (0o77, True, {"nofile": (512, 512)}) == (spec.umask, spec.no_new_privs, spec.rlimits)
    expected = "a native_llm runs as the user of its tree: give it a tree of that user's, or make it a process_wrapper"
    assert [("user", expected)] == problems("a", "native_llm", {**config, "user": "nobody"})


def test_a_command_that_is_a_shell_line_is_reported_without_its_secrets() -> None:
    ((_, what),) = problems("a", "process_wrapper", {"command": "run --api-key hidden-1 --token=hidden-2  -v"})
    assert 'is one program, not a shell line, and no file "run --api-key [redacted] --token=[redacted] -v" exists' in what


def test_only_a_native_agent_has_checkpoints_and_their_interval_is_a_time() -> None:
    native = agent_child_from_config("a", "native_llm", {"factory": "a.b:C", "checkpoint_interval": 5}, "/")

    assert 5 == native.start.checkpoint_interval
    assert {"checkpoint_interval": "must be above 0, not 0"} == dict(
        problems("a", "native_llm", {"factory": "a.b:C", "checkpoint_interval": 0})
    )
    assert {"checkpoint_interval": "a process_wrapper has no checkpoints"} == dict(
        problems("a", "process_wrapper", {"command": "sh", "checkpoint_interval": 5})
    )


@pytest.mark.parametrize("name", ["", "A=B", "A\nB", "A\rB", "A\0B", "A\x1b[2J", "A\u202eB"])
def test_a_name_that_would_show_other_variables_is_refused_wherever_it_comes_from(name: str) -> None:
    config = {"command": "sh", "env": {"GOOD": "1", name: "LD_PRELOAD=/evil"}}
    with pytest.raises(ConfigError):
        agent_child_from_config("a", "process_wrapper", config, "/tmp")
    with pytest.raises(SpecError, match="the name of an environment variable is not empty, and has no ="):
        AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="sh", env={name: "x"})
    good = encode_child(agent_child_from_config("a", "process_wrapper", {"command": "sh"}, "/tmp"))
    with pytest.raises(ValueError, match="the name of an environment variable"):
        decode_child({**good, "agent": {**good["agent"], "env": {name: "x"}}})
