"""The doors of a running tree, attacked: nobody gets in, nothing of the tree dies, who belongs there is served, and it is written down."""

import asyncio
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from suptree.actors.errors import AccessRefused, NotRunning
from suptree.actors.record.registry import JOURNAL_FILE
from suptree.control.client.client import Client
from suptree.control.door.tokens import TokenFile
from suptree.testing import LiveTree
from suptree.testing.live_tree import kill
from tests.door.attacks import Address, attacks, connected, say

SUPTREE = str(Path(sys.executable).parent / "suptree")


TREE = """
[tree]
name = "castle"
[supervisors.root]
max_restarts = 100
within = 60
[agents.sleeper]
type = "process_wrapper"
command = "sleep"
args = ["100000"]
[agents.reader]
type = "process_wrapper"
command = "cat"
stdin = "pipe"
"""


MEMORY = 10_000_000


SPEC = {"id": "x", "agent": {"agent_id": "x", "agent_type": "process_wrapper", "command": "sh"}}


@pytest.fixture(scope="module")
def tree(port: int) -> Iterator[LiveTree]:
    with LiveTree(TREE, listen=f"127.0.0.1:{port}") as tree:
        assert tree.launcher.paths.token_file.exists()
        tree.wait_until_all_run()
        yield tree


@pytest.fixture
def doors(tree: LiveTree, port: int) -> dict[str, Address]:
    paths = tree.launcher.paths
    return {"control": paths.control_socket, "tcp": ("127.0.0.1", port)}


@pytest.fixture
def token(tree: LiveTree) -> TokenFile:
    return TokenFile(tree.launcher.paths.token_file)


def pids(tree: LiveTree) -> dict[str, Any]:
    """Every process of the tree that matters."""
    status = tree.status()
    return {**status["pids"], **{row["id"]: (row["pid"], row["actor_pid"]) for row in status["agents"]}}


def memory(tree: LiveTree) -> int:
    """What launcher and registry take."""
    found = tree.status()["pids"]
    return sum(psutil.Process(found[name]).memory_info().rss for name in ("launcher", "registry"))


def ask(address: Address, request: str, headers: dict[str, str] | None = None, content: bytes | None = None) -> httpx.Response:
    """One request, as METHOD /path."""

    async def get() -> httpx.Response:
        if isinstance(address, Path):
            transport, url = httpx.AsyncHTTPTransport(uds=str(address)), "http://suptree"
        else:
            transport, url = httpx.AsyncHTTPTransport(), f"http://{address[0]}:{address[1]}"
        method, _, path = request.partition(" ")
        async with httpx.AsyncClient(transport=transport, base_url=url, timeout=30) as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(get())


def suptree(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SUPTREE, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("door", ["control", "tcp"])
def test_an_attack_reaches_nothing_and_is_written_down(tree: LiveTree, doors: dict[str, Address], door: str, tmp_path: Path) -> None:
    before, took, refused = pids(tree), memory(tree), tree.status()["refused"].get(door, {})
    target = tmp_path / "unpickled"
    with ThreadPoolExecutor(len(attacks(target))) as threads:
        list(threads.map(lambda attack: say(doors[door], attack), attacks(target).values()))
    assert (before, False) == (pids(tree), target.exists())
    assert memory(tree) - took < MEMORY
    after = tree.status()["refused"][door]
    more = {why: count - refused.get(why, 0) for why, count in after.items()}
    reasons = {"control": {"malformed", "too_large", "content_type"}, "tcp": {"malformed", "host", "too_slow"}}
    assert reasons[door] <= {why for why, count in more.items() if count}
    assert 0 == more.get("stranger", 0)
    tree.wait_until(lambda s: counted(tree) == s["refused"], 20)
    expect_repair(tree)


def counted(tree: LiveTree) -> Any:
    """The last word of the journal on what was refused."""
    with contextlib.closing(sqlite3.connect(f"file:{tree.launcher.paths.state / JOURNAL_FILE}?mode=ro", uri=True)) as journal:
        events = [json.loads(text) for (text,) in journal.execute("SELECT event FROM events ORDER BY seq")]
    return next((event["refused"] for event in reversed(events) if event["event"] == "tree_refused"), None)


def expect_repair(tree: LiveTree) -> None:
    """The next crash is repaired within two seconds."""
    agent = tree.agent("sleeper")
    kill(agent["pid"])
    tree.wait_until(lambda s: any(row["incarnation"] > agent["incarnation"] and row["status"] == "running" for row in s["agents"]), 2)


@pytest.mark.parametrize("door", ["control", "tcp"])
def test_idle_and_slow_connections_keep_nobody_out(tree: LiveTree, doors: dict[str, Address], door: str) -> None:
    before, took = pids(tree), memory(tree)
    stop = threading.Event()

    def trickle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for byte in b"POST /shutdown HTTP/1.1\r\nHost: suptree\r\nContent-Length: 1000\r\n\r\n" + bytes(1000):
                connection.send(bytes([byte]))
                if stop.wait(1):
                    return

    with contextlib.ExitStack() as stack:
        for number in range(320):
            connection = stack.enter_context(connected(doors[door]))
            if number >= 300:
                threading.Thread(target=trickle, args=(connection,)).start()
        begun = time.monotonic()
        assert 2 == len(tree.status()["agents"])
        assert time.monotonic() - begun < 2
        command = suptree("status", "--json", SUPTREE_HOME=str(tree.home))
        assert (0, before["launcher"]) == (command.returncode, json.loads(command.stdout)["pids"]["launcher"])
        expect_repair(tree)
        stop.wait(2)
        stop.set()
    assert before["sleeper"] != pids(tree)["sleeper"]
    assert memory(tree) - took < MEMORY
    assert {"crowded"} <= set(tree.status()["refused"][door])


def test_followers_are_not_cut_off_by_a_crowd(tree: LiveTree, doors: dict[str, Address]) -> None:
    async def follow(client: Client) -> int:
        stream = client.events(10**9)
        following = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(connected(doors["control"]))
            await client.status()
            open_still = not following.done()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return open_still

    assert tree.ask(follow)


def test_on_tcp_the_token_is_needed_and_does(tree: LiveTree, doors: dict[str, Address], token: TokenFile) -> None:
    answers = [ask(doors["tcp"], request) for request in ("GET /status", "GET /nowhere", "POST /shutdown", "GET /events")]
    assert [401] * 4 == [answer.status_code for answer in answers]
    assert 1 == len({answer.content for answer in answers})
    good = {"authorization": f"Bearer {token.ensure()}"}
    assert "castle" == ask(doors["tcp"], "GET /status", good).json()["tree"]


def test_on_the_socket_a_token_does_nothing(doors: dict[str, Address]) -> None:
    assert 200 == ask(doors["control"], "GET /status", {"authorization": "Bearer x"}).status_code


def test_a_client_on_tcp_does_what_one_on_the_socket_does(tree: LiveTree, port: int, token: TokenFile) -> None:
    async def talk() -> tuple[str, str, int, str]:
        async with Client.tcp(f"http://127.0.0.1:{port}", token.ensure()) as client:
            status = await client.status()
            await client.tell("reader", "through TCP")
            await client.stop("sleeper")
            await client.start("sleeper")
            async with contextlib.aclosing(client.events()) as events:
                first = await anext(events)
            async with contextlib.aclosing(client.follow_log("reader", 1)) as lines:
                return status["tree"], status["listen"], first["seq"], (await anext(lines)).split(" ", 3)[3]

    assert ("castle", f"127.0.0.1:{port}", "through TCP") == (found := asyncio.run(talk()))[:2] + found[3:]


def test_a_client_without_the_token_hears_what_is_missing(port: int, token: TokenFile) -> None:
    async def talk(given: str) -> None:
        async with Client.tcp(f"http://127.0.0.1:{port}", given) as client:
            await client.status()

    with pytest.raises(AccessRefused, match="suptree token"):
        asyncio.run(talk("wrong"))
    with pytest.raises(NotRunning, match=r"^no tree answers on http://127.0.0.1:1/?$"):
        asyncio.run(Client.tcp("http://127.0.0.1:1", token.ensure()).status())


async def all_of(events: AsyncIterator[Any]) -> list[Any]:
    async with asyncio.timeout(20):
        return [event async for event in events]


def test_a_rotated_token_is_in_force_immediately_and_cuts_off_clients_that_follow(
    tree: LiveTree, doors: dict[str, Address], token: TokenFile
) -> None:
    old = token.ensure()

    async def follow(port: int) -> list[Any]:
        async with Client.tcp(f"http://127.0.0.1:{port}", old) as client:
            seq = (await client.picture())["seq"]
            following = asyncio.ensure_future(all_of(client.events(seq)))
            await client.restart("sleeper")
            printed = await asyncio.to_thread(suptree, "token", "--rotate", SUPTREE_HOME=str(tree.home))
            async with Client(tree.launcher.paths.control_socket) as owner:
                await owner.restart("sleeper")
                await owner.restart("sleeper")
            # It is let hear nothing more, and its connection ends.
            return [printed.stdout.strip(), *(event["incarnation"] for event in await following if event["event"] == "agent_started")]

    address = doors["tcp"]
    assert isinstance(address, tuple)
    incarnation = tree.agent("sleeper")["incarnation"]
    new, *heard = asyncio.run(follow(address[1]))
    assert ([incarnation + 1], True, new) == (heard, new != old, token.ensure())
    statuses = [ask(address, "GET /status", {"authorization": f"Bearer {given}"}).status_code for given in (old, new)]
    assert [401, 200] == statuses


def test_the_command_line_reaches_a_tree_through_its_url(tree: LiveTree, port: int, tmp_path: Path, token: TokenFile) -> None:
    there = {"SUPTREE_HOME": str(tmp_path), "SUPTREE_URL": f"http://127.0.0.1:{port}", "SUPTREE_TOKEN": token.ensure()}
    tree.ask(lambda client: client.tell("reader", "hello"))
    tree.wait_until(lambda _: "hello" in suptree("logs", "reader", **there).stdout, 10)
    found = [suptree(*command, **there) for command in (("status", "--json"), ("events",), ("restart", "sleeper"), ("explain", "sleeper"))]
    assert ([0, 0, 0, 0], "castle") == ([each.returncode for each in found], json.loads(found[0].stdout)["tree"])
    down = suptree("down", **there)
    assert (1, "", True) == (down.returncode, down.stdout, "SUPTREE_URL" in down.stderr)
    refused = [suptree("status", **{**there, "SUPTREE_TOKEN": wrong}) for wrong in ("", "wrong", "\xe9")]
    assert [(1, "", 1)] * 3 == [(each.returncode, each.stdout, len(each.stderr.splitlines())) for each in refused]


def test_the_token_is_written_nowhere_else(tree: LiveTree, token: TokenFile) -> None:
    secret = token.ensure().encode()
    paths = tree.launcher.paths
    files = [path for path in (*paths.state.rglob("*"), *paths.runtime.rglob("*")) if path.is_file() and path != paths.token_file]
    assert [] == [path for path in files if secret in path.read_bytes()]
    environments = [process.environ() for process in tree.processes()]
    assert (True, []) == (len(environments) > 5, [each for each in environments if secret.decode() in str(each)])
    assert secret.decode() not in json.dumps([tree.status(), tree.events()])


NOT_FOUND, BAD, WRONG_METHOD, NO_JSON, CONFLICT = 404, 400, 405, 415, 409


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /", NOT_FOUND),
        ("GET /nowhere", NOT_FOUND),
        ("GET /status/", NOT_FOUND),
        ("GET //evil.example/", NOT_FOUND),
        ("GET /agents/nobody", NOT_FOUND),
        ("GET /agents/registry", NOT_FOUND),
        ("GET /agents/%2e%2e", NOT_FOUND),
        ("GET /agents/%2e%2e%2f%2e%2e%2fx", NOT_FOUND),
        ("GET /agents/sleeper/nothing", WRONG_METHOD),
        ("POST /agents/sleeper/nothing", NOT_FOUND),
        ("POST /agents/nobody/stop", NOT_FOUND),
        ("POST /status", WRONG_METHOD),
        ("GET /shutdown", WRONG_METHOD),
        ("DELETE /agents/sleeper", WRONG_METHOD),
        ("BREW /status", WRONG_METHOD),
        ("GET /status?x=1", BAD),
        ("GET /events?follow=false&after=-1", BAD),
        ("GET /events?follow=false&after=1e3", BAD),
        ("GET /events?follow=false&after=NaN", BAD),
        ("GET /events?follow=false&after=99999999999999999999", BAD),
        ("GET /events?follow=false&after=%D9%A1", BAD),
        ("GET /events?follow=false&after=", BAD),
        ("GET /events?follow=false&after=1&after=2", BAD),
        ("GET /events?follow=maybe", BAD),
        ("GET /events?follow=1", BAD),
        ("GET /agents/sleeper/logs?lines=-1", BAD),
        ("GET /agents/sleeper/logs?lines=1000001", BAD),
        ("GET /agents/sleeper/logs?lines=inf", BAD),
        ("GET /agents/sleeper/logs?previous=yes", BAD),
        ("GET /agents/sleeper/logs?line=1", BAD),
        ("GET /agents/sleeper/forecast?class=nothing", BAD),
        ("GET /agents/sleeper/forecast?reason=" + "x" * 1001, BAD),
        ("GET /agents/sleeper/forecast?reason=%00", BAD),
        ("GET /agents/sleeper/explanation", 200),
        ("GET /agents/sleeper/explanation?x", BAD),
        ("GET /agents/sleeper/explanation?x=1", BAD),
    ],
)
def test_what_cannot_be_asked_is_refused_in_json(doors: dict[str, Address], request_line: str, status: int) -> None:
    answer = ask(doors["control"], request_line)
    assert (status, "application/json") == (answer.status_code, answer.headers["content-type"])
    assert status == 200 or {"error", "message"} == set(answer.json())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/agents", {}, BAD),
        ("/agents", [], BAD),
        ("/agents", {"spec": []}, BAD),
        ("/agents", {"spec": SPEC, "supervisor": 1}, BAD),
        ("/agents", {"spec": SPEC, "more": 1}, BAD),
        ("/agents", {"spec": {**SPEC, "id": "y"}}, BAD),
        ("/agents", {"spec": {"id": "../x", "agent": {**SPEC["agent"], "agent_id": "../x"}}}, BAD),  # type: ignore[dict-item]
        ("/agents", {"spec": {"id": "top", "agent": {**SPEC["agent"], "agent_id": "top"}}}, BAD),  # type: ignore[dict-item]
        ("/agents", {"spec": {**SPEC, "supervisor": []}}, BAD),
        ("/agents", {"spec": {**SPEC, "supervisor": {"id": "x", "flags": {}, "children": "abc"}}}, BAD),
        ("/agents", {"spec": {**SPEC, "max_restarts": -1}}, BAD),
        ("/agents", {"spec": {**SPEC, "restrat": "temporary"}}, BAD),
        ("/agents", {"spec": {**SPEC, "agent": {**SPEC["agent"], "usr": "nobody"}}}, BAD),  # type: ignore[dict-item]
        ("/agents", {"spec": {**SPEC, "agent": {**SPEC["agent"], "limits": {"max_runtime": "nan"}}}}, BAD),  # type: ignore[dict-item]
        ("/agents", {"spec": {**SPEC, "shutdown": "never"}}, BAD),
        ("/agents/sleeper/stop", {"graceful": 1}, BAD),
        ("/agents/sleeper/stop", {"stopped": True}, BAD),
        ("/agents/sleeper/restart", {"stopped": True}, BAD),
        ("/agents/sleeper/start_child", {"spec": SPEC}, NOT_FOUND),
        ("/agents/sleeper/shutdown", {}, NOT_FOUND),
        ("/agents/sleeper/record", {}, NOT_FOUND),
        ("/agents/sleeper/tell", {}, BAD),
        ("/agents/sleeper/tell", {"text": 1}, BAD),
        ("/agents/sleeper/tell", {"text": "x" * 2_000_000}, CONFLICT),
        ("/agents/sleeper/tell", {"text": "\x01" * 2_000_000}, 413),
        ("/agents/sleeper/attach", {"text": "x"}, BAD),
        ("/agents/nobody/attach", {}, NOT_FOUND),
        ("/agents/sleeper/ask", {}, BAD),
        ("/agents/sleeper/ask", {"prompt": 1}, BAD),
        ("/agents/sleeper/ask", {"prompt": "x", "timeout": "1"}, BAD),
        ("/agents/sleeper/ask", {"prompt": "x", "timeout": 0}, BAD),
        ("/agents/sleeper/ask", {"prompt": "x", "more": 1}, BAD),
        ("/agents/sleeper/ask", {"prompt": "x" * 2_000_000}, CONFLICT),
        ("/agents/sleeper/ask", {"prompt": "\x01" * 2_000_000}, 413),
        ("/agents/nobody/ask", {"prompt": "x"}, NOT_FOUND),
        ("/agents/sleeper/start", {"graceful": True}, BAD),
        ("/agents/sleeper/start", {"fresh": 1}, BAD),
        ("/agents/sleeper/delete", {"keep_checkpoint": "no"}, BAD),
        ("/agents/sleeper/stop", {"graceful": "x" * 2_000_000}, 413),
        ("/shutdown", {"now": True}, BAD),
    ],
)
def test_what_cannot_be_done_is_refused_in_json(tree: LiveTree, doors: dict[str, Address], path: str, body: Any, status: int) -> None:
    answer = ask(doors["control"], f"POST {path}", {"content-type": "application/json"}, json.dumps(body).encode())
    assert (status, {"error", "message"}) == (answer.status_code, set(answer.json()))
    assert ["running"] * 2 == [row["status"] for row in tree.status()["agents"]]


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"graceful": NaN}', b'{"a": "\\ud800"}', b'{"graceful": true, "graceful": false}', b"1" * 10_000]
)
def test_odd_json_is_refused(doors: dict[str, Address], body: bytes) -> None:
    answer = ask(doors["control"], "POST /agents/sleeper/stop", {"content-type": "application/json"}, body)
    assert (BAD, "HTTPException") == (answer.status_code, answer.json()["error"])


def test_the_longest_line_for_tell_can_be_sent_however_it_is_written(doors: dict[str, Address]) -> None:
    longest = json.dumps({"text": "\x01" * (2**20 - 1)}).encode()
    answer = ask(doors["control"], "POST /agents/reader/tell", {"content-type": "application/json"}, longest)
    assert (200, "ok") == (answer.status_code, answer.json()["answer"])


def test_up_of_a_tree_that_runs_already_says_so_and_not_that_its_port_is_taken(tree: LiveTree, port: int) -> None:
    done = suptree("up", str(tree.file), "-d", "--listen", f"127.0.0.1:{port}", SUPTREE_HOME=str(tree.home))
    assert (1, "", True) == (done.returncode, done.stdout, "castle' runs already" in done.stderr)
