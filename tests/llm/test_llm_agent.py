"""`LLMAgent` against a real server on loopback: what it says, and how it ends when its provider does not answer as it should."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.errors import AskFailed, RequestTimeout
from suptree.control.client.client import Client
from suptree.testing import LiveTree

from .llm_server import LLMServer, llm_server

KEY = "k3y-that-nobody-may-see/+"
FILED_KEY = "an0ther-key-from-a-file"
# Its name does not say that it holds a secret; the agent's `api_key_env` does.
VARIABLE = "HOUSE_OF_MODELS"
GIVEN = "an agent inherits only what its table names, with env_inherit, env_from or env"
PROMPT = "words-of-the-conversation"
# Its library alone takes seconds to import, when the machine is busy.
WITHIN = 60.0

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def server() -> Iterator[LLMServer]:
    with llm_server() as serving:
        yield serving


def llm(agent_id: str, config: dict[str, Any], more: str = "", model: str | None = None) -> str:
    settings = ", ".join(f"{key} = {json.dumps(value)}" for key, value in config.items())
    return f"""
[agents.{agent_id}]
type = "native_llm"
factory = "suptree.actors.llm_agent:LLMAgent"
config = {{ {settings} }}
{f'model = "{model or agent_id}"' if model != "" else ""}
{more}
"""


def tree(*agents: str, sys_path: list[str] | None = None) -> LiveTree:
    return LiveTree("[supervisors.root]\nmax_restarts = 50\n" + "".join(agents), sys_path=sys_path)


def ask(live: LiveTree, agent_id: str, prompt: str) -> Any:
    return live.ask(lambda client: client.ask(agent_id, prompt, timeout=30))


def ask_stream(live: LiveTree, agent_id: str, prompt: str, timeout: float = 30) -> list[Any]:
    async def read(client: Client) -> list[Any]:
        return [part async for part in client.ask_stream(agent_id, prompt, timeout=timeout)]

    return live.ask(read)


def failure(live: LiveTree, agent_id: str, prompt: str = "hello") -> AskFailed:
    with pytest.raises(AskFailed) as caught:
        ask(live, agent_id, prompt)
    return caught.value


def row(status: dict[str, Any], agent_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(agent for agent in status["agents"] if agent["id"] == agent_id)
    return found


def last_exit(live: LiveTree, agent_id: str) -> tuple[str, str]:
    last = row(live.wait_until(lambda status: row(status, agent_id)["last_exit"], WITHIN), agent_id)["last_exit"]
    return last["class"], last["reason"]


def wait_for_status(live: LiveTree, agent_id: str, text: str) -> None:
    live.wait_until(lambda status: row(status, agent_id)["detail"] == text, WITHIN)


def test_it_answers_and_remembers_and_counts(server: LLMServer) -> None:
    endpoint = {"base_url": f"{server.url}/v1"}
    agents = (
        llm("talker", endpoint, 'role = "You plan the day."'),
        llm(
            "overruled",
            {**endpoint, "system_prompt": "Be brief.", "temperature": 0.5, "max_output_tokens": 7, "history": 2},
            'role = "long"',
        ),
        llm("countless", endpoint),
    )
    with tree(*agents) as live:
        live.wait_until_all_run(WITHIN)
        wait_for_status(live, "talker", "talker: 0 requests, 0 tokens (0 prompt, 0 completion)")
        assert "you said hello" == ask(live, "talker", "hello")
        wait_for_status(live, "talker", "talker: 1 request, 15 tokens (10 prompt, 5 completion)")
        parts = ask_stream(live, "talker", "and again")
        assert "yousaidandagain" == "".join(parts)
        wait_for_status(live, "talker", "talker: 2 requests, 30 tokens (20 prompt, 10 completion)")
        first, second = server.of("talker")
        assert [("system", "You plan the day."), ("user", "hello")] == first.messages
        assert [*first.messages, ("assistant", "you said hello"), ("user", "and again")] == second.messages
        assert (None, True) == (first.body.get("stream"), second.body["stream"])
        # Without a key none is sent.
        assert "Bearer no-key-required" == first.headers["authorization"]
        assert {"max_tokens", "max_completion_tokens", "temperature"}.isdisjoint(first.body)

        # Its conversation comes back after a crash, its count begins anew, as every limit does.
        live.ask(lambda client: client.stop("talker", graceful=False))
        live.ask(lambda client: client.start("talker"))
        ask(live, "talker", "still there?")
        remembered = [*second.messages, ("assistant", "yousaidandagain"), ("user", "still there?")]
        assert remembered == server.of("talker")[2].messages
        wait_for_status(live, "talker", "talker: 1 request, 15 tokens (10 prompt, 5 completion)")

        for number in range(3):
            ask(live, "overruled", str(number))
        last = server.of("overruled")[2]
        assert [("system", "Be brief."), ("user", "1"), ("assistant", "you said 1"), ("user", "2")] == last.messages
        assert (0.5, 7) == (last.body["temperature"], last.body["max_completion_tokens"])

        # A server that does not count is counted for: a token for every four characters.
        assert "you said hello" == ask(live, "countless", "hello")
        wait_for_status(live, "countless", "countless: 1 request, 6 tokens (2 prompt, 4 completion)")


@pytest.mark.parametrize("stream", [False, True])
def test_the_default_model_is_asked_of_its_provider_by_the_name_that_it_has_there(server: LLMServer, stream: bool) -> None:
    asked = len(server.of("claude-sonnet-4-6"))
    environment = f'env = {{ ANTHROPIC_API_KEY = "{KEY}", ANTHROPIC_BASE_URL = "{server.url}" }}\nrole = "You plan."'
    with tree(llm("planner", {}, environment, model="")) as live:
        live.wait_until_all_run(WITHIN)
        reply = "".join(ask_stream(live, "planner", "hello")) if stream else ask(live, "planner", "hello")
        assert ("yousaidhello" if stream else "you said hello") == reply
        wait_for_status(live, "planner", "claude-sonnet-4-6: 1 request, 15 tokens (10 prompt, 5 completion)")
    seen = server.of("claude-sonnet-4-6")[asked]
    assert ("/v1/messages", KEY) == (seen.path, seen.headers["x-api-key"])
    assert "You plan." in json.dumps(seen.body["system"])


def test_a_rate_limit_parks_it_until_then_and_costs_no_restart(server: LLMServer) -> None:
    endpoint = {"base_url": f"{server.url}/v1"}
    with tree(llm("limited", endpoint, "park = true"), llm("limited-until", endpoint, "park = true"), llm("poor", endpoint)) as live:
        live.wait_until_all_run(WITHIN)
        begun = time.monotonic()
        error = failure(live, "limited")
        reason = "rate limit: the endpoint answered with status 429 (rate_limit_exceeded)"
        assert (f"'limited' did not answer: {reason}", "quota", 2.0) == (str(error), error.exit_class, error.retry_after)
        parked = row(live.wait_until(lambda status: row(status, "limited")["last_exit"], WITHIN), "limited")
        assert ("quota", reason) == (parked["last_exit"]["class"], parked["last_exit"]["reason"])
        back = row(
            live.wait_until(lambda s: row(s, "limited")["incarnation"] == 2 and row(s, "limited")["status"] == "running", WITHIN), "limited"
        )
        assert 2.0 <= time.monotonic() - begun
        assert 0 == back["restarts"]
        assert 0 == live.status()["supervisors"][0]["restarts_in_window"]
        decided = next(event for event in live.events() if event["event"] == "agent_decided" and event["id"] == "limited")
        assert ("park", False) == (decided["decision"], decided["charged"])
        assert 2.0 <= decided["delay"] <= 3.1
        assert "you said hello" == ask(live, "limited", "hello")

        # A date is understood as well.
        assert 3500 < (failure(live, "limited-until").retry_after or 0) <= 3600
        live.wait_until(lambda status: str(row(status, "limited-until")["detail"]).startswith("park in "), WITHIN)
        assert ("quota", None) == ((poor := failure(live, "poor")).exit_class, poor.retry_after)
        assert ("quota", "no credit: the endpoint answered with status 402 (insufficient_funds)") == last_exit(live, "poor")


def test_an_error_of_its_provider_has_its_class_and_nothing_of_what_was_said(server: LLMServer) -> None:
    endpoint = {"base_url": f"{server.url}/v1"}
    agents = (
        llm("broken", endpoint),
        llm("missing", endpoint, "hold = true"),
        llm("picky", endpoint),
        llm("mad", endpoint),
        llm("nobody", {"base_url": "http://127.0.0.1:1/v1"}),
    )
    with tree(*agents) as live:
        live.wait_until_all_run(WITHIN)
        picky = failure(live, "picky", PROMPT)
        assert (None, True) == (picky.exit_class, str(picky).endswith("this is too long"))
        for agent_id, exit_class, reason in (
            ("broken", "failed", "the model could not be asked: the endpoint answered with status 500 (server_error)"),
            ("mad", "failed", "the model could not be asked: no usable answer of the endpoint ("),
            ("nobody", "failed", "the model could not be asked: no usable answer of the endpoint (APIConnectionError)"),
            (
                "missing",
                "permanent",
                "model 'missing' is not there, or cannot do this: the endpoint answered with status 404 (model_not_found)",
            ),
        ):
            error = failure(live, agent_id, PROMPT)
            assert (f"{agent_id!r} did not answer: {reason}", exit_class) == (
                str(error)[: len(reason) + len(agent_id) + 19],
                error.exit_class,
            )
            assert (exit_class, str(error).partition("did not answer: ")[2]) == last_exit(live, agent_id)
        # It is asked once: to try again is for its supervisor.
        assert 1 == len(server.of("broken"))
        wait_for_restart(live, "broken", "mad", "nobody")
        held = "hold: a restart cannot help: model 'missing' is not there"
        live.wait_until(lambda status: str(row(status, "missing")["detail"]).startswith(held), WITHIN)
        assert 1 == live.agent("picky")["incarnation"]
        assert [] == files_with(live, PROMPT)


def test_a_model_that_keeps_silent_is_hung(server: LLMServer) -> None:
    short = {"base_url": f"{server.url}/v1", "timeout": 0.5}
    with tree(llm("hangs", short), llm("stops-midway", short)) as live:
        live.wait_until_all_run(WITHIN)
        hung = failure(live, "hangs")
        assert ("'hangs' did not answer: no answer of the model for 0.5 s", "hung") == (str(hung), hung.exit_class)
        assert ("hung", "no answer of the model for 0.5 s") == last_exit(live, "hangs")
        assert ["hung: no answer of the model for 0.5 s"] == recorded(live, "hangs")
        with pytest.raises(AskFailed, match=r"no answer of the model for 0\.5 s"):
            ask_stream(live, "stops-midway", "hello")
        assert "hung" == last_exit(live, "stops-midway")[0]
        wait_for_restart(live, "hangs", "stops-midway")


def test_a_reply_that_is_none_is_no_reply(server: LLMServer) -> None:
    endpoint = {"base_url": f"{server.url}/v1"}
    with tree(*(llm(model, endpoint) for model in ("choiceless", "breaks-off", "blank", "spaces", "odd"))) as live:
        live.wait_until_all_run(WITHIN)
        failure(live, "choiceless")
        assert ("failed", "no usable answer of the endpoint (it has no choices)") == last_exit(live, "choiceless")
        failure(live, "odd")
        assert ("failed", "no usable answer of the endpoint (ValidationError)") == last_exit(live, "odd")
        with pytest.raises(AskFailed):
            ask_stream(live, "breaks-off", "hello")
        assert ("failed", "no usable answer of the endpoint (it broke off after 7 characters)") == last_exit(live, "breaks-off")
        # No provider would take back a message without text.
        for model, reply in (("blank", ""), ("spaces", " \n")):
            assert [reply, reply] == [ask(live, model, "hello"), ask(live, model, "again")]
            assert [("user", "again")] == server.of(model)[1].messages


def test_what_nobody_waited_for_is_charged_too(server: LLMServer) -> None:
    budget = {"base_url": f"{server.url}/v1", "max_tokens": 7}

    async def stop_reading(client: Client) -> None:
        async with contextlib.aclosing(client.ask_stream("stops-midway", "hello there", timeout=30)) as parts:
            assert "you" == await anext(parts)

    with tree(llm("stops-midway", budget), llm("hangs", budget)) as live:
        live.wait_until_all_run(WITHIN)
        with pytest.raises(RequestTimeout):
            ask_stream(live, "hangs", "hello there", timeout=0.5)
        wait_for_status(live, "hangs", "hangs: 1 request, 3 tokens (3 prompt, 0 completion)")
        live.ask(stop_reading)
        wait_for_status(live, "stops-midway", "stops-midway: 1 request, 4 tokens (3 prompt, 1 completion)")
        live.ask(stop_reading)
        assert ("budget", "it used 8 tokens, and has max_tokens of 7") == last_exit(live, "stops-midway")


def test_a_budget_that_is_used_up_is_the_recorded_cause_of_its_end_and_the_reply_is_given(server: LLMServer) -> None:
    with tree(llm("spender", {"base_url": f"{server.url}/v1", "max_tokens": 40, "history": 0})) as live:
        live.wait_until_all_run(WITHIN)
        for _ in range(3):
            assert f"you said {PROMPT}" == ask(live, "spender", PROMPT)
        spent = "it used 45 tokens, and has max_tokens of 40"
        assert ("budget", spent) == last_exit(live, "spender")
        assert [f"budget: {spent}"] == recorded(live, "spender")
        # Each reply may take what is left.
        assert [40, 25, 10] == [seen.body["max_completion_tokens"] for seen in server.of("spender")]
        assert [40, 25, 10] == [seen.body["max_tokens"] for seen in server.of("spender")]
        wait_for_restart(live, "spender")
        # It keeps no conversation: what was said is written down nowhere.
        assert [] == files_with(live, PROMPT)


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_is_compared_with_the_prompt_before_that_is_sent(server: LLMServer, stream: bool) -> None:
    model = f"careful-{stream}"
    with tree(llm(model, {"base_url": f"{server.url}/v1", "max_tokens": 40})) as live:
        live.wait_until_all_run(WITHIN)
        put = ask_stream if stream else ask
        with pytest.raises(AskFailed, match="the question has about 50 tokens, and max_tokens is 40") as refused:
            put(live, model, "x" * 200)
        assert None is refused.value.exit_class
        for _ in range(2):
            put(live, model, PROMPT)
        # With all that was said before it is longer than what is left.
        # The server sends the parts of a reply without the spaces between its words.
        reason = f"the next prompt has about {35 if stream else 36} tokens; it used 30, and has max_tokens of 40"
        with pytest.raises(AskFailed, match=reason) as over:
            put(live, model, PROMPT)
        assert "budget" == over.value.exit_class
        assert 2 == len(server.of(model))
        assert ("budget", reason) == last_exit(live, model)
        wait_for_restart(live, model)
        # What was said is written down where it is kept, and nowhere else.
        assert [f"{model}.json"] == [path.name for path in files_with(live, PROMPT)]


def test_a_provider_that_is_overloaded_is_asked_again_when_it_said(server: LLMServer) -> None:
    endpoint = {"base_url": f"{server.url}/v1"}
    with tree(*(llm(model, endpoint, "park = true") for model in ("overloaded", "crowded", "closed"))) as live:
        live.wait_until_all_run(WITHIN)
        failures = {model: failure(live, model) for model in ("overloaded", "crowded", "closed")}
        assert {"overloaded": ("quota", 2.0), "crowded": ("quota", 1.5), "closed": ("failed", None)} == {
            model: (failed.exit_class, failed.retry_after) for model, failed in failures.items()
        }
        wait_for_restart(live, "overloaded")
        assert "you said hello" == ask(live, "overloaded", "hello")


def recorded(live: LiveTree, agent_id: str) -> list[str]:
    """Why its supervisor stopped it, as it said before."""
    return [event["why"] for event in live.events() if event["event"] == "agent_stopping" and event["id"] == agent_id]


def wait_for_restart(live: LiveTree, *agents: str) -> None:
    live.wait_until(
        lambda status: all(row(status, agent)["incarnation"] == 2 and row(status, agent)["status"] == "running" for agent in agents), WITHIN
    )


def files_with(live: LiveTree, text: str) -> list[Path]:
    """The files of a tree that hold a text; of the journal what can be read, too."""
    found = [path for path in live.home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
    for journal in live.home.rglob("journal.sqlite"):
        with sqlite3.connect(journal) as database:
            found += [journal for line in database.iterdump() if text in line]
    return found


def test_its_key_is_never_shown(server: LLMServer, tmp_path: Path) -> None:
    config = {"base_url": f"{server.url}/v1", "api_key_env": VARIABLE}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, KEY)
        patch.setenv("OPENAI_LOG", "debug")
        keys = tmp_path / "keys.env"
        keys.write_text(f"{VARIABLE}={FILED_KEY}\n")
        keys.chmod(0o600)
        inherits = f'env_inherit = ["{VARIABLE}", "OPENAI_*"]'
        agents = (
            llm("keeper", config, inherits),
            llm("filed", config, f'env_from = "{keys}"\nenv = {{ OPENAI_LOG = "debug" }}'),
            llm("locked", config, f"{inherits}\nhold = true"),
        )
        with tree(*agents) as live:
            live.wait_until_all_run(WITHIN)
            assert "you said hello" == ask(live, "keeper", "hello")
            assert "you said hello" == ask(live, "filed", "hello")
            error = failure(live, "locked")
            live.wait_until(lambda status: str(row(status, "locked")["detail"]).startswith("hold"), WITHIN)
            assert f"Bearer {KEY}" == server.of("keeper")[0].headers["authorization"]
            assert f"Bearer {FILED_KEY}" == server.of("filed")[0].headers["authorization"]
            assert ("permanent", "the API key was refused: the endpoint answered with status 401 (invalid_api_key)") == last_exit(
                live, "locked"
            )
            live.ask(lambda client: client.stop("keeper"))
            live.ask(lambda client: client.stop("filed"))
            ended = ("keeper", "filed", "locked")
            shown = [live.status(), live.events(), str(error), *(live.ask(lambda c, a=a: c.explanation(a)) for a in ended)]  # type: ignore[misc]
            for key in (KEY, FILED_KEY):
                assert key not in json.dumps(shown)
                assert [] == files_with(live, key)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            llm("a", {}, model=""),
            f"no API key: the agent's environment has no ANTHROPIC_API_KEY: {GIVEN}; config.api_key_env names another variable",
        ),
        (
            llm("a", {"api_key_env": "HOUSE_OF_MODELS"}, model=""),
            f"no API key: the agent's environment has no HOUSE_OF_MODELS, which config.api_key_env names: {GIVEN}",
        ),
        (
            llm("a", {}, model="house-blend"),
            "model 'house-blend': its name does not say which provider it is of: give \"provider:model\", or config.base_url",
        ),
        (llm("a", {}, model="nobody:x"), "provider 'nobody': there is no such provider"),
        (
            llm("a", {"api_key": KEY, "max_tokens": 0, "timeout": "long", "base_url": "ftp://x", "temprature": 1}, model=""),
            "config.api_key: keys come from the environment: name the variable that holds it, api_key_env;"
            " config.temprature: unknown key (there are system_prompt, provider, base_url, api_key_env, temperature, max_output_tokens,"
            " max_tokens, timeout, history); config.base_url: must begin with http:// or https:// and name a host, without a password;"
            " config.max_tokens: must be a whole number above 0; config.timeout: must be a number of seconds above 0",
        ),
    ],
)
def test_what_can_never_work_is_permanent_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, table: str, reason: str) -> None:
    # A key of the person who starts the tree reaches no agent by that alone.
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv(VARIABLE, KEY)
    with tree(table + "hold = true\n") as live:
        assert ("permanent", reason) == last_exit(live, "a")
        assert [] == [path for path in files_with(live, KEY) if path.name != "tree.toml"]
