"""What is secret in an agent's table, wherever it stands."""

from typing import Any

import pytest

from suptree.actors.base.channel import Numbered
from suptree.actors.base.messages import Begin, Context, Services, Tell
from suptree.actors.spec.agent_secrets import agent_redactor
from suptree.actors.spec.agent_spec import AgentSpec, HookSpec, ProbeSpec
from suptree.actors.state import AgentType
from suptree.supervisors.spec.child_spec import ChildSpec

SECRET = "-".join(["sk", "abc123", "def456"])


def shown(text: str = f"a {SECRET} b", from_file: dict[str, str] | None = None, **fields: Any) -> str:
    kind = {"factory": "a:b"} if "config" in fields else {"command": "x"}
    agent_type = AgentType.NATIVE_LLM if "config" in fields else AgentType.PROCESS_WRAPPER
    spec = AgentSpec(agent_id="a", agent_type=agent_type, **kind, **fields)  # type: ignore[arg-type]
    return agent_redactor(spec, {}, from_file or {}).text(text)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("API_KEY", {"env": {"API_KEY": SECRET}}),
        ("API_KEY", {"inherited": {"API_KEY": SECRET}}),
        ("db_url", {"config": {"db_url": f"postgres://me:{SECRET}@db"}}),
        ("api_key", {"config": {"api_key": SECRET}}),
        ("token", {"config": {"models": [{"name": "x", "auth": {"token": [SECRET]}}]}}),
        ("api-key", {"args": ("run", "--api-key", SECRET)}),
        ("token", {"args": ("run", f"--token={SECRET}")}),
        ("TOKEN", {"args": ("env", f"TOKEN={SECRET}", "run")}),
        ("argument", {"args": (f"postgres://me:{SECRET}@db",)}),
        ("API_KEY", {"args": ("-c", f"export API_KEY='{SECRET}'; exec run")}),
        ("password", {"args": ("-c", f"run --verbose --password {SECRET} | tee log")}),
        ("Authorization", {"args": ("-H", f"Authorization: Bearer {SECRET}")}),
        ("Authorization", {"args": (f"--header=Authorization: Bearer {SECRET}",)}),
        ("X-Api-Key", {"args": (f"--header=X-Api-Key: {SECRET}",)}),
        ("API_KEY", {"args": ("run", f"--env=API_KEY={SECRET}")}),
        ("token", {"args": ("-c", f"helm upgrade --set=auth.token={SECRET} x")}),
        ("token", {"args": ("-c", f"run --model= --token={SECRET}")}),
        ("api_key", {"args": (f'{{"model": "x", "api_key": "{SECRET}"}}',)}),
        ("token", {"hooks": HookSpec(pre_stop=("drain", "--token", SECRET))}),
        ("secret", {"hooks": HookSpec(post_exit=("tidy", f"--secret={SECRET}"))}),
        ("password", {"liveness_probe": ProbeSpec(exec=("well", "--password", SECRET))}),
        ("access_token", {"liveness_probe": ProbeSpec(http_get=f"http://localhost/?access_token={SECRET}")}),
    ],
)
def test_a_secret_is_known_wherever_it_stands(name: str, fields: dict[str, Any]) -> None:
    assert f"a [redacted {name}] b" == shown(**fields)


def test_a_value_that_begins_as_an_option_does_is_one_behind_an_equals_sign_alone() -> None:
    assert "a [redacted token] b" == shown("a -abc123def456 b", args=("-c", "run --token=-abc123def456"))
    assert "a --other-one2 b" == shown("a --other-one2 b", args=("-c", "run --token --other-one2"))


def test_whatever_a_file_of_secrets_holds_is_one() -> None:
    assert "a [redacted MODEL] b" == shown("a gpt-big b", {"MODEL": "gpt-big", "SHORT": "a"})


@pytest.mark.parametrize(
    "fields",
    [
        {"args": ("-c", "sorted(x, key=lambda entry: entry.name); token = os.environ['TOKEN']; keys: list")},
        {"args": ("sort", "--key", "2", "--max-tokens", "4096000")},
        {"args": ("--author", "Somebody1")},
        {"config": {"max_tokens": "4096000", "model": "a-model-1", "keys": 5, "session": {"name": "evening1"}}},
        {"env": {"MODEL": "a-model-1"}},
    ],
)
def test_what_only_resembles_one_is_left(fields: dict[str, Any]) -> None:
    text = "lambda entry: os.environ['TOKEN'] 4096000 Somebody1 a-model-1 evening1"
    assert text == shown(text, **fields)


@pytest.mark.parametrize("where", ["env", "inherited", "from_file"])
def test_the_variable_that_a_configuration_names_holds_a_secret_whatever_its_name(where: str) -> None:
    given: dict[str, Any] = {where: {"HOUSE": SECRET, "STREET": "long-street-name"} if where == "inherited" else {"HOUSE": SECRET}}
    text = f"api_key_env is HOUSE: {SECRET} in long-street-name"
    assert "api_key_env is HOUSE: [redacted HOUSE] in long-street-name" == shown(text, config={"api_key_env": "HOUSE"}, **given)


@pytest.mark.parametrize("config", [{"api_key_env": SECRET}, {"api_key_env": [SECRET]}, {"secret": {"api_key_env": "NO_VARIABLE_2"}}])
def test_a_key_that_stands_where_the_name_of_its_variable_should_is_a_secret(config: dict[str, Any]) -> None:
    assert "[redacted api_key_env]" == shown("NO_VARIABLE_2" if "secret" in config else SECRET, config=config)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["a", "-a", "--key ", "token", "a=", "--a=b", "a=bcdefghi=", "token: ", " ", "://a:b", "'\""])
def test_a_very_long_argument_is_looked_through_in_no_time(piece: str) -> None:
    text = piece * 100_000
    assert "nothing of it" == shown("nothing of it", args=(text,), hooks=HookSpec(pre_stop=(text,)))


def test_a_file_that_has_changed_hides_what_it_held_and_what_it_holds() -> None:
    spec = AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="x", env_from="/keys")
    redactor = agent_redactor(spec, {"PATH": "/bin"}, {"KEY": "old-value"}, {"KEY": "new-value"})
    assert "[redacted KEY] [redacted KEY]" == redactor.text("old-value new-value")
    assert {"KEY": "[redacted]", "PATH": "/bin"} == redactor.environment()


def test_what_a_log_shows_of_a_message_or_a_spec_holds_no_secret() -> None:
    fields: dict[str, Any] = {
        "env": {"A": SECRET},
        "inherited": {"B": SECRET},
        "args": ("--token", SECRET),
        "hooks": HookSpec(pre_stop=("x", SECRET)),
        "liveness_probe": ProbeSpec(exec=("x", SECRET)),
        "config": {"key": SECRET},
    }
    spec = AgentSpec(agent_id="a", agent_type=AgentType.PROCESS_WRAPPER, command="x", **fields)
    begin = Begin("a", 1, 0, spec, Context("t", "run-1", "/state", "/runtime"), Services())
    message = Numbered((1, 2), 3, Tell("a", 1, "r", SECRET))
    shown = [str(spec), str(begin), str(message), repr(ChildSpec(id="a", start=spec))]
    assert [] == [text for text in shown if SECRET in text]
    assert "Numbered((1, 2), 3, Tell)" == str(message)
