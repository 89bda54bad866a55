"""`explain crash` and the crash itself: what the forecast says is what happens, in random trees."""

import asyncio
import random
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from suptree.actors.events.picture import Picture
from suptree.control.api.api import make_app
from suptree.control.client.client import Client
from suptree.testing import LiveTree, kill

AGENTS_BELOW = 3
CRASHES = 6
LIMIT = 30


def random_tree(seed: int) -> str:
    rng = random.Random(seed)
    text = '[tree]\nname = "random"\n[supervisors.root]\nmax_restarts = 1000\nwithin = 600\n'
    supervisors = ["root"]
    for number in range(rng.randint(2, 3)):
        supervisors.append(f"s{number}")
        text += (
            f'[supervisors.s{number}]\nsupervisor = "{rng.choice(supervisors[:-1])}"\nmax_restarts = {rng.randint(0, 2)}\nwithin = 600\n'
            f'strategy = "{rng.choice(["one_for_one", "one_for_all", "rest_for_one"])}"\n'
        )
        for agent in range(rng.randint(1, AGENTS_BELOW)):
            text += (
                f'[agents.s{number}a{agent}]\ntype = "process_wrapper"\ncommand = "sleep"\nargs = ["1000000"]\n'
                f'supervisor = "s{number}"\nrestart = "{rng.choice(["permanent", "permanent", "transient", "temporary"])}"\n'
            )
    return text


def done_by(step: dict[str, Any], events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What a supervisor did after the crash, in the forecast's words, up to its own exit."""
    verbs = {"stopping": "stop", "starting": "start"}
    done = []
    for event in events:
        what = event["event"].partition("_")[2]
        if event["event"] == "supervisor_exited" and event["id"] == step["supervisor"]:
            done.append(("exit", ""))
            break
        if event["supervisor"] == step["supervisor"] and what in verbs:
            done.append((verbs[what], event["id"]))
    return done


async def crash(client: Client, victim: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Kill an agent's actor; return the forecast, and every event until all of it was done and nothing is under way any more."""
    steps = await client.forecast(victim["id"])
    known = await client.known_events()
    kill(victim["actor_pid"])
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(LIMIT):
        async for event in client.events(after=known[-1]["seq"]):
            events.append(event)
            decided = any(e["event"].endswith("_decided") and e["id"] == steps[-1]["child"] for e in events)
            status = await client.status()
            settled = all(row["status"] not in ("starting", "stopping") for row in (*status["agents"], *status["supervisors"]))
            if decided and settled and len(done_by(steps[-1], events)) >= len(predicted(steps[-1])):
                break
    return steps, events


def predicted(step: dict[str, Any]) -> list[tuple[str, str]]:
    return [(action["verb"], action["id"]) for action in step["actions"] if action["verb"] != "wait"]


@pytest.mark.parametrize("seed", range(4))
def test_the_crash_does_what_the_forecast_said(seed: int) -> None:
    rng = random.Random(seed)
    with LiveTree(random_tree(seed)) as tree:
        for _ in range(CRASHES):
            running = [row for row in tree.status()["agents"] if row["status"] == "running"]
            if not running:
                break
            steps, events = tree.ask(partial(crash, victim=rng.choice(running)))
            assert [predicted(step) for step in steps] == [done_by(step, events) for step in steps]
            assert [step["decision"] for step in steps] == [
                next(e["decision"] for e in events if e["event"].endswith("_decided") and e["id"] == step["child"]) for step in steps
            ]


def test_a_forecast_ends_where_the_rows_of_a_damaged_journal_stand_in_a_circle() -> None:
    asked = []

    async def answer(_operation: str, target: str, *_: Any, **__: Any) -> dict[str, Any]:
        asked.append(target)
        return {"answer": "ok", "value": {"exit": {"class": "crash", "reason": "crash"}}, "seq": 1}

    rows = [{"id": child, "kind": "supervisor", "supervisor": above} for child, above in ("ab", "ba")]
    app = make_app(cast(Any, SimpleNamespace(link=SimpleNamespace(picture=Picture(rows), ask=answer), root=None)))

    async def ask() -> list[str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://suptree") as client:
            return [step["child"] for step in (await client.get("/agents/a/forecast")).json()]

    assert ["a", "b"] == asyncio.run(ask()) == asked
