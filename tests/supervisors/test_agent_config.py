from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from suptree.actors import AgentType
from suptree.actors.agent_spec import AgentSpec, HookSpec
from suptree.actors.errors import ConfigError
from suptree.actors.exits import ExitClass
from suptree.supervisors.agent_config import SECONDS_BEYOND_THE_LADDER, agent_child_from_config
from suptree.supervisors.child_spec import ChildSpec, RestartType


def problems(agent_id: Any, agent_type: Any, config: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as refused:
        agent_child_from_config(agent_id, agent_type, config, "/")
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


def test_every_fault_is_reported_at_once() -> None:
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


def test_an_agent_without_a_factory_is_told_to_give_one() -> None:
    assert [("factory", 'is missing: a native_llm needs one ("package.module:attribute")')] == problems("a", "native_llm", {"name": "A"})


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


def test_faults_of_what_a_program_is_run_with_are_told_with_what_would_be_right() -> None:
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


def test_only_a_native_agent_has_checkpoints_and_their_interval_is_a_time() -> None:
    native = agent_child_from_config("a", "native_llm", {"factory": "a.b:C", "checkpoint_interval": 5}, "/")

    assert 5 == native.start.checkpoint_interval
    assert {"checkpoint_interval": "must be above 0, not 0"} == dict(
        problems("a", "native_llm", {"factory": "a.b:C", "checkpoint_interval": 0})
    )
    assert {"checkpoint_interval": "a process_wrapper has no checkpoints"} == dict(
        problems("a", "process_wrapper", {"command": "sh", "checkpoint_interval": 5})
    )


@pytest.mark.parametrize(("config", "secret"), [({}, ()), ({"api_key_env": "HOUSE"}, ("HOUSE",)), ({"api_key_env": 5}, ())])
def test_the_variable_that_holds_the_key_of_an_agent_is_a_secret(config: Mapping[str, Any], secret: tuple[str, ...]) -> None:
    assert secret == agent_child_from_config("a", "native_llm", {"factory": "a.b:C", "config": config}, "/").start.secret_variables
