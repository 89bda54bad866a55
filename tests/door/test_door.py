"""What a request must show before it reaches the API."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from suptree.control.door.header_checks import UNIX_HOSTS, Door
from suptree.control.door.listeners import Address
from suptree.control.door.tokens import TokenFile
from suptree.control.refusals import Why

TCP = "http://127.0.0.1:8321"
Headers = Mapping[str, str] | Mapping[bytes, bytes] | list[tuple[str, str]]


class Opened:
    """A door with an application behind it that lets everybody in."""

    def __init__(self, hosts: frozenset[str], token: TokenFile | None = None) -> None:
        self.refused: list[Why] = []
        self._door = Door(JSONResponse({"in": True}), self.refused.append, hosts, token)

    def ask(self, method: str = "GET", headers: Headers | None = None, url: str = TCP, content: bytes | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._on_a_connection)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.request(method, f"{url}/status", headers=headers, content=content)

        return asyncio.run(ask())

    async def _on_a_connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door({**scope, "state": {"let_in": lambda: None}}, receive, send)


@pytest.fixture
def token(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "token")


@pytest.fixture
def tcp(token: TokenFile) -> Opened:
    return Opened(Address("127.0.0.1", 8321).hosts, token)


def bearer(token: TokenFile) -> dict[str, str]:
    return {"authorization": f"Bearer {token.ensure()}"}


def test_the_token_opens_the_door(tcp: Opened, token: TokenFile) -> None:
    answer = tcp.ask(headers=bearer(token))
    assert (200, {"in": True}, []) == (answer.status_code, answer.json(), tcp.refused)


def test_a_request_that_says_its_length_in_both_ways_is_refused(tcp: Opened, token: TokenFile) -> None:
    both = {"content-length": "2", "transfer-encoding": "chunked", "content-type": "application/json"}
    answer = tcp.ask("POST", {**bearer(token), **both}, content=b"{}")
    assert (400, "close", [Why.MALFORMED]) == (answer.status_code, answer.headers["connection"], tcp.refused)


@pytest.mark.parametrize("where", ["a header", "headers", "the query"])
def test_a_head_that_is_too_long_is_refused_also_when_it_comes_whole(tcp: Opened, token: TokenFile, where: str) -> None:
    more = {"a header": {"x": "a" * 33_000}, "headers": {f"x{number}": "a" for number in range(4000)}, "the query": {}}[where]
    url = f"{TCP}/status?{'a' * 33_000}#" if where == "the query" else TCP
    answer = tcp.ask(headers={**bearer(token), **more}, url=url)
    assert (431, [Why.TOO_LARGE]) == (answer.status_code, tcp.refused)


def test_every_way_of_having_no_token_gets_the_same_answer(tcp: Opened, token: TokenFile) -> None:
    good = token.ensure()
    ways: list[Headers] = [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {good}x"},
        {"authorization": f"Bearer {good[:-1]}"},
        {"authorization": f"Basic {good}"},
        {"authorization": good},
        {b"authorization": b"Bearer \xff\xfe"},
        {"x-token": good},
        {"cookie": f"token={good}"},
        [("authorization", f"Bearer {good}"), ("authorization", "Bearer x")],
    ]
    answers = [tcp.ask(headers=headers) for headers in ways]
    answers.append(tcp.ask("POST", {"content-type": "text/plain"}, content=b"x"))
    answered = {(answer.status_code, answer.text, *sorted(answer.headers.multi_items())) for answer in answers}
    assert (1, [Why.TOKEN] * len(answers), 401, "Bearer") == (
        len(answered),
        tcp.refused,
        answers[0].status_code,
        answers[0].headers["www-authenticate"],
    )


def test_a_token_that_was_rotated_opens_nothing_any_more(tcp: Opened, token: TokenFile) -> None:
    old = bearer(token)
    token.rotate()
    assert [401, 200] == [tcp.ask(headers=headers).status_code for headers in (old, bearer(token))]


def test_without_a_token_file_nobody_is_let_in(tcp: Opened, token: TokenFile, tmp_path: Path) -> None:
    had = bearer(token)
    (tmp_path / "token").unlink()
    assert [401, 401] == [tcp.ask(headers=headers).status_code for headers in (had, {})]


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:8321", "LOCALHOST", "[::1]:8321", "127.0.0.1:9"])
def test_a_host_that_is_ours_is_let_in(tcp: Opened, token: TokenFile, host: str) -> None:
    assert 200 == tcp.ask(headers={"host": host, **bearer(token)}).status_code


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8321", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1:x", "127.0.0.1:8321:9", "", ":",
        "localhost.", "10.0.0.1:8321", "suptree", "127.0.0.1@evil.example", "[::1", "::1", "2130706433", "0x7f.1",
    ],
)  # fmt: skip
def test_a_host_that_is_not_ours_is_refused_whatever_it_shows(tcp: Opened, token: TokenFile, host: str) -> None:
    answer = tcp.ask(headers={"host": host, **bearer(token)})
    assert (421, [Why.HOST]) == (answer.status_code, tcp.refused)


@pytest.mark.parametrize(("host", "status"), [("10.1.2.3:80", 200), ("[2001:db8::1]", 200), ("evil.example", 421), ("localhost", 421)])
def test_on_every_address_any_ip_is_ours_and_no_name(token: TokenFile, host: str, status: int) -> None:
    assert status == Opened(Address("0.0.0.0", 80).hosts, token).ask(headers={"host": host, **bearer(token)}).status_code  # noqa: S104


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8321", "http://127.0.0.1:9", "http://localhost:8321", ""]
)
def test_a_page_of_another_origin_may_do_nothing(tcp: Opened, token: TokenFile, method: str, origin: str) -> None:
    answer = tcp.ask(method, {"origin": origin, **bearer(token)})
    assert (403, [Why.ORIGIN]) == (answer.status_code, tcp.refused)


def test_a_page_of_our_own_may_ask(tcp: Opened, token: TokenFile) -> None:
    assert 200 == tcp.ask("POST", {"origin": TCP, **bearer(token)}).status_code


def test_there_are_no_cors_headers(tcp: Opened, token: TokenFile) -> None:
    preflight = {
        "origin": "http://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    answers = [tcp.ask("OPTIONS", preflight), tcp.ask("OPTIONS", bearer(token)), tcp.ask("GET", {"origin": TCP, **bearer(token)})]
    assert [] == [name for answer in answers for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, None, 200),
        ({"content-type": "application/json"}, None, 200),
        ({"content-type": "application/json"}, b"{}", 200),
        ({"content-type": 'Application/JSON; charset="UTF-8"'}, b"{}", 200),
        ({}, b"{}", 415),
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "text/plain"}, None, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--", 415),
        ({"content-type": "text/plain; application/json"}, b"{}", 415),
        ({"content-type": "application/json; charset=utf-16"}, b"{}", 415),
        ({"content-type": "application/pickle"}, b"{}", 415),
        ({"transfer-encoding": "chunked"}, None, 415),
        ([("content-type", "application/json"), ("content-type", "text/plain")], b"{}", 415),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "BREW"])
def test_only_json_may_come_as_a_body(method: str, headers: Headers, content: bytes | None, status: int) -> None:
    door = Opened(UNIX_HOSTS)
    answer = door.ask(method, headers, "http://suptree", content)
    assert (status, [] if status == 200 else [Why.CONTENT_TYPE]) == (answer.status_code, door.refused)


@pytest.mark.parametrize(("host", "status"), [("suptree", 200), ("localhost", 200), ("evil.example", 421), ("127.0.0.1", 421)])
def test_the_socket_goes_by_two_names(host: str, status: int) -> None:
    assert status == Opened(UNIX_HOSTS).ask(headers={"host": host}).status_code
