"""Child specs as a client sends them: what is none is refused, whatever would be read into it."""

import json
import math
from typing import Any

import pytest

from suptree.supervisors.config.child_from_config import agent_child_from_config, supervisor_child_from_config
from suptree.supervisors.config.wire import decode_child, encode_child
from suptree.supervisors.spec.child_spec import BRUTAL_KILL, INFINITY, MOST_SECONDS, ChildSpec
from suptree.supervisors.spec.tree_spec import SupervisorSpec

AGENT: dict[str, Any] = {"agent_id": "x", "agent_type": "process_wrapper", "command": "sleep"}
FULL = {
    "command": "sh",
    "args": ["-c", "true"],
    "env": {"A": "b"},
    "exit_codes": {"3": "failed"},
    "rlimits": {"nofile": "10:20", "core": "infinity"},
    "umask": "0077",
    "hooks": {"pre_stop": ["true"]},
    "limits": {"memory_max": "1G", "cpu_max": 1, "max_runtime": MOST_SECONDS},
    "stop": {"cancel": MOST_SECONDS, "sigint": MOST_SECONDS, "sigterm": MOST_SECONDS},
    "heartbeat": {"interval": MOST_SECONDS},
    "backoff": True,
    "park": True,
    "quota_group": "q",
}


def agent(**fields: Any) -> dict[str, Any]:
    return {"id": "x", "agent": {**AGENT, **fields}}


def supervisor(flags: Any = None, children: Any = (), **more: Any) -> dict[str, Any]:
    return {"id": "s", "supervisor": {"id": "s", "flags": flags or {}, "children": list(children), **more}}


def sent(encoded: dict[str, Any]) -> ChildSpec:
    return decode_child(json.loads(json.dumps(encoded)))


def test_what_a_client_encodes_is_what_a_supervisor_decodes() -> None:
    child = agent_child_from_config("x", "process_wrapper", FULL, "/")
    above = supervisor_child_from_config("s", {"strategy": "rest_for_one", "within": MOST_SECONDS, "shutdown": 3})
    assert isinstance(above.start, SupervisorSpec)
    nested = ChildSpec(id="s", shutdown=INFINITY, start=SupervisorSpec(id="s", flags=above.start.flags, children=(child,)))
    for spec in (child, above, nested, ChildSpec(id="x", shutdown=BRUTAL_KILL, start=child.start)):
        assert spec == sent(encode_child(spec))


@pytest.mark.parametrize(
    ("encoded", "said"),
    [
        (agent(usr="nobody"), r'^agent\.usr: unknown key; did you mean "user"\?$'),
        (agent(no_new_priv=True), r'^agent\.no_new_priv: unknown key; did you mean "no_new_privs"\?$'),
        (agent(limits={"memory_maxx": 1}), r'^agent\.limits\.memory_maxx: unknown key; did you mean "memory_max"\?$'),
        ({**agent(), "restrat": "temporary"}, r'^restrat: unknown key; did you mean "restart"\?$'),
        ({**agent(), "start": None}, r"^start: unknown key"),
        ({**agent(), "backoff": {"bas": 1}}, r"^backoff\.bas: unknown key"),
        (supervisor(strategy="one_for_all"), r"^supervisor\.strategy: unknown key"),
        (supervisor({"max_restart": 9}), r'^supervisor\.flags\.max_restart: unknown key; did you mean "max_restarts"\?$'),
        (supervisor(children=[agent(usr="nobody")]), r"^agent\.usr: unknown key"),
        ({**supervisor(), **agent()}, "not both"),
        ({"id": "x"}, r"^agent: is missing$"),
        ({**agent(), "y" * 100_000: 1}, r"^y{64}: unknown key"),
    ],
    ids=lambda given: given[:40] if isinstance(given, str) else "",
)
def test_an_unknown_key_is_refused_at_every_level(encoded: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sent(encoded)


@pytest.mark.parametrize("number", ["inf", "nan", "1e999", "3", True, -1, MOST_SECONDS * 11, 1e300, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    "place",
    [
        lambda number: supervisor({"within": number}),
        lambda number: {**agent(), "shutdown": number},
        lambda number: {**agent(), "backoff": {"base": number, "cap": number}},
        lambda number: {**agent(), "backoff": {"healthy_after": number}},
        lambda number: {**agent(), "healthy_after": number},
        lambda number: agent(limits={"max_runtime": number}),
        lambda number: agent(heartbeat={"startup_timeout": number}),
        lambda number: agent(min_uptime=number),
        lambda number: agent(hooks={"timeout": number}),
        lambda number: agent(stop={"sigterm": number}),
        lambda number: agent(progress={"restart_after": number}),
    ],
)
def test_a_time_is_a_number_of_seconds_that_a_clock_can_count(place: Any, number: object) -> None:
    with pytest.raises(ValueError, match=r"must|should"):
        sent(place(number))


@pytest.mark.parametrize(
    "encoded",
    [
        agent(limits={"memory_max": -5}),
        agent(limits={"memory_max": "1G"}),
        agent(limits={"pids_max": 0}),
        agent(limits={"cpu_max": 0}),
        agent(exit_codes={"300": "failed"}),
        agent(no_new_privs=1),
        agent(no_new_privs="true"),
        agent(umask="63"),
        agent(args="abc"),
        agent(args=["a\0"]),
        agent(env={"A": "x\0y"}),
        agent(labels={"a": 1}),
        agent(agent_type="program"),
        {**agent(), "id": 1},
        {**agent(), "significant": 1},
        {**agent(), "max_restarts": 1.5},
        {"id": "x", "agent": []},
        {"id": "x", "agent": None},
        {"id": "x", "supervisor": []},
        {"id": "s", "supervisor": {"id": "s", "flags": [], "children": []}},
        {"id": "s", "supervisor": {"id": "s", "flags": {}, "children": "abc"}},
        {"id": "s", "supervisor": {"id": "s", "flags": {}, "children": ["abc"]}},
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_refused_and_not_turned_into_one(encoded: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        sent(encoded)


def test_what_an_agent_is_given_as_its_config_is_its_own_affair() -> None:
    config = {"usr": {"deep": [1, 1e300, "a\0b", None, True]}}
    native = {"id": "x", "agent": {"agent_id": "x", "agent_type": "native_llm", "factory": "a:b", "config": config}}
    assert config == sent(native).start.config
