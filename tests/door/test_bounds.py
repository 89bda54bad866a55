"""Time and room that a connection gets, on a real server: with deadlines made short, because the real ones are for real clients."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from suptree.control.door import bounds, http_protocol, request_input
from suptree.control.refusals import Why
from tests.polling import poll_until_async

from .served import BAD_HEAD, GET, LIMIT, POST, Served, ask


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Served], Awaitable[None]]], None]:
    monkeypatch.setattr(http_protocol, "REQUEST_LIMIT", LIMIT)
    monkeypatch.setattr(http_protocol, "UNREAD_LIMIT", LIMIT)

    def run(test: Callable[[Served], Awaitable[None]]) -> None:
        async def with_server() -> None:
            async with Served(tmp_path / "socket").run() as served:
                await test(served)

        asyncio.run(with_server())

    return run


def test_who_says_nothing_is_cut_off(serve: Callable[..., None]) -> None:
    async def test(served: Served) -> None:
        reader, writer = await asyncio.open_unix_connection(served.path)
        assert (b"", [Why.TOO_SLOW]) == (await reader.read(), served.refused)
        writer.close()

    serve(test)


@pytest.mark.parametrize("first", [b"", GET % b"quick", GET % b"slow"])
def test_who_says_it_byte_by_byte_is_cut_off(serve: Callable[..., None], first: bytes) -> None:
    async def test(served: Served) -> None:
        served.let_go.set()
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(first)
        if first:
            await reader.readuntil(b"\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            for byte in GET % b"quick" + POST % b"Content-Length: 1000":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(LIMIT / 20)
                sent += 1
        assert (True, [Why.TOO_SLOW]) == (10 < sent < 40, served.refused)

    serve(test)


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_not_waited_for(serve: Callable[..., None], framing: bytes) -> None:
    async def test(served: Served) -> None:
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(POST % framing)
        assert (b"", [Why.TOO_SLOW]) == (await reader.read(), served.refused)
        writer.close()

    serve(test)


def test_an_answer_may_take_longer_than_a_request(serve: Callable[..., None]) -> None:
    async def test(served: Served) -> None:
        asyncio.get_running_loop().call_later(3 * LIMIT, served.let_go.set)
        assert ((200, b"slow"), []) == (await ask(served, GET % b"slow"), served.refused)

    serve(test)


def test_a_connection_may_rest_between_requests(serve: Callable[..., None]) -> None:
    async def test(served: Served) -> None:
        reader, writer = await asyncio.open_unix_connection(served.path)
        for _ in range(3):
            writer.write(GET % b"quick")
            await reader.readuntil(b"quick")
            await asyncio.sleep(1.5 * LIMIT)
        assert [] == served.refused
        writer.close()

    serve(test)


def test_requests_that_come_together_are_answered_in_turn(serve: Callable[..., None]) -> None:
    async def test(served: Served) -> None:
        reader, writer = await asyncio.open_unix_connection(served.path)
        served.let_go.set()
        writer.write(GET % b"quick" + GET % b"slow" + GET % b"quick")
        for word in (b"quick", b"slow", b"quick"):
            await reader.readuntil(word)
        await asyncio.sleep(2 * LIMIT)
        assert [] == served.refused
        writer.close()

    serve(test)


@pytest.mark.parametrize("path", [b"large", b"medium", b"follow"])
@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_who_does_not_read_is_cut_off(serve: Callable[..., None], path: bytes, more: bytes) -> None:
    async def test(served: Served) -> None:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.setblocking(False)
            peer.connect(str(served.path))
            peer.send((GET % path).replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n"))
            await poll_until_async(lambda: served.refused and not served.followers.count)
            heard = 0
            with contextlib.suppress(ConnectionError):
                while data := await asyncio.get_running_loop().sock_recv(peer, 1_000_000):
                    heard += len(data)
        assert ([Why.TOO_SLOW], True) == (served.refused, heard < 2_000_000)

    serve(test)


def test_of_too_many_connections_the_oldest_that_says_nothing_gives_way(
    serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "MOST_CONNECTIONS", 20)
    monkeypatch.setattr(http_protocol, "REQUEST_LIMIT", 60.0)

    async def test(served: Served) -> None:
        answers = [asyncio.ensure_future(ask(served, GET % b"slow")) for _ in range(5)]
        await asyncio.sleep(0.1)
        idle = [await asyncio.open_unix_connection(served.path) for _ in range(100)]
        assert (200, b"quick") == await ask(served, GET % b"quick")
        # Those that are being answered were there first, and are still.
        served.let_go.set()
        assert [(200, b"slow")] * 5 == await asyncio.gather(*answers)
        closed = [reader for reader, _ in idle if reader.at_eof()]
        assert ({Why.CROWDED}, closed) == (set(served.refused), [reader for reader, _ in idle[: len(closed)]])
        assert 85 <= len(closed) <= 87
        for _, writer in idle:
            writer.close()

    serve(test)


def test_a_flood_of_connections_keeps_nobody_out(serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "MOST_CONNECTIONS", 32)

    async def test(served: Served) -> None:
        sockets = [socket.socket(socket.AF_UNIX) for _ in range(400)]
        with contextlib.ExitStack() as stack:
            for peer in sockets:
                stack.enter_context(peer)
                peer.setblocking(False)
                peer.connect(str(served.path))
            # All of them wait to be accepted, before this one; and as many come after it.
            assert (200, b"quick") == await ask(served, GET % b"quick")

    serve(test)


def test_too_many_followers_are_refused_in_words(serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FOLLOWERS", 2)
    monkeypatch.setattr(http_protocol, "UNREAD_LIMIT", 60.0)

    async def test(served: Served) -> None:
        following = [await asyncio.open_unix_connection(served.path) for _ in range(2)]
        for reader, writer in following:
            writer.write(GET % b"follow")
            await reader.readuntil(b"data")
        refused = await ask(served, GET % b"follow")
        for _, writer in following:
            writer.close()
        await poll_until_async(lambda: not served.followers.count)
        expected = {"error": "Crowded", "message": "2 follow already; try again when one has ended"}
        assert (503, expected, 200) == (refused[0], json.loads(refused[1]), (await ask(served, GET % b"follow"))[0])

    serve(test)


def test_too_many_requests_are_refused_in_words(serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_REQUESTS", 2)

    async def test(served: Served) -> None:
        running = [asyncio.ensure_future(ask(served, GET % b"slow")) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused = await ask(served, GET % b"quick")
        served.let_go.set()
        assert (503, [Why.CROWDED], [(200, b"slow")] * 2) == (refused[0], served.refused, await asyncio.gather(*running))
        assert (200, b"quick") == await ask(served, GET % b"quick")

    serve(test)


def test_who_waits_for_an_agent_takes_no_room_of_others_and_may_wait_as_long_as_that_has(
    serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "ANSWER_LIMIT", LIMIT)
    monkeypatch.setattr(bounds, "MOST_REQUESTS", 1)
    monkeypatch.setattr(bounds, "MOST_WAITING", 2)
    monkeypatch.setattr(bounds, "_SLACK", 0.0)

    async def test(served: Served) -> None:
        waiting = []
        for count in (1, 2):
            waiting.append(asyncio.ensure_future(ask(served, GET % b"wait?30")))
            await poll_until_async(lambda count=count: served.waiting == count)  # type: ignore[misc]
        refused = await ask(served, GET % b"wait?30")
        expected = {"error": "HTTPException", "message": "2 wait for agents already; try again when one has its answer"}
        assert (503, expected, [Why.CROWDED]) == (refused[0], json.loads(refused[1]), served.refused)
        assert (200, b"quick") == await ask(served, GET % b"quick")
        await asyncio.sleep(2 * LIMIT)
        served.let_go.set()
        assert [(200, b"slow")] * 2 == await asyncio.gather(*waiting)
        # Their room is free again.
        served.let_go.clear()
        status, body = await ask(served, GET % b"wait?0.6")
        assert (504, "RequestTimeout") == (status, json.loads(body)["error"])
        assert (200, b"quick") == await ask(served, GET % b"quick")

    serve(test)


def test_an_answer_that_does_not_begin_is_not_waited_for(serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER_LIMIT", LIMIT)

    async def test(served: Served) -> None:
        status, body = await ask(served, GET % b"slow")
        assert (504, "RequestTimeout") == (status, json.loads(body)["error"])

    serve(test)


def test_who_follows_may_follow_for_longer_than_an_answer_may_take(serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER_LIMIT", LIMIT)

    async def test(served: Served) -> None:
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(GET % b"follow")
        until_then = asyncio.get_running_loop().time() + 3 * LIMIT
        while asyncio.get_running_loop().time() < until_then:
            await reader.readuntil(b"data")
        assert 1 == served.followers.count
        writer.close()

    serve(test)


def test_all_bodies_together_have_bounded_room(serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_input, "ROOM_FOR_BODIES", 1500)
    monkeypatch.setattr(http_protocol, "REQUEST_LIMIT", 10.0)

    async def test(served: Served) -> None:
        half = POST % b"Content-Length: 1000" + b" " * 998
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(half)
        await asyncio.sleep(0.1)
        refused = await ask(served, half + b"{}")
        writer.write(b"[]")
        answer = await reader.readuntil(b"[]")
        writer.close()
        assert (503, True, (200, b"{}")) == (refused[0], answer.startswith(b"HTTP/1.1 200 "), await ask(served, half + b"{}"))

    serve(test)


def test_what_goes_wrong_inside_is_shown_to_no_client(serve: Callable[..., None], capfd: pytest.CaptureFixture[str]) -> None:
    async def test(served: Served) -> None:
        status, body = await ask(served, GET % b"fails")
        assert (500, "InternalError", False) == (status, json.loads(body)["error"], b"hunter2" in body)

    serve(test)
    logged = "".join(capfd.readouterr())
    assert (True, False) == ("request_failed" in logged and "served.py" in logged, "hunter2" in logged)


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 1001", b""),
        (b"Content-Length: 99999999999", b""),
        (b"Content-Length: " + b"9" * 5000, b""),
        (b"Transfer-Encoding: chunked", b"3e9\r\n" + b" " * 1001 + b"\r\n"),
        (b"Content-Length: 1001", b" " * 1001),
    ],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_read(serve: Callable[..., None], framing: bytes, body: bytes) -> None:
    async def test(served: Served) -> None:
        status, _ = await ask(served, POST % framing + body)
        # h11 itself refuses a length of more than twenty digits.
        expected = (400, [Why.MALFORMED]) if len(framing) > 1000 else (413, [Why.TOO_LARGE])
        assert expected == (status, served.refused)

    serve(test)


@pytest.mark.parametrize(
    "garbage", [b"\0\r\n\r\n", b"GET /quick\r\n\r\n", b"X" * 100_000, POST % b"Transfer-Encoding: chunked" + b"zz\r\n", BAD_HEAD]
)
def test_what_is_no_http_is_answered_once_and_counted(serve: Callable[..., None], garbage: bytes) -> None:
    async def test(served: Served) -> None:
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(garbage)
        heard = b""
        with contextlib.suppress(ConnectionError):
            heard = await reader.read()
        writer.close()
        assert (True, 1, [Why.MALFORMED]) == (heard.startswith(b"HTTP/1.1 400 "), heard.count(b"HTTP/1.1"), served.refused)

    serve(test)


def test_a_client_that_waits_when_the_launcher_ends_hears_that_it_has(serve: Callable[..., None]) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)

        async def test(served: Served) -> None:
            client.connect(str(served.path))
            client.sendall(GET % b"slow")
            await served.begun.wait()

        serve(test)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'{"error":"NotRunning","message":"the tree has just ended"}' in answer
