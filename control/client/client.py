"""A client of one tree's control API, with typed errors."""

import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from suptree.actors.errors import (
    AccessRefused,
    AlreadyPresent,
    AlreadyRunning,
    AskFailed,
    InputRefused,
    NoSuchAgent,
    NotRunning,
    RequestTimeout,
    SpecError,
    StartFailed,
    SuptreeError,
)
from suptree.supervisors.spec.child_spec import ChildSpec
from suptree.supervisors.spec.ids import ROOT, fault_of_id

from ..time_limits import ASK_LIMIT, LONGEST, TELL_LIMIT
from .other_end import OtherEnd

_CONNECT_LIMIT = 5.0
_ANSWER_LIMIT = 130.0
_READ_LIMIT = 15.0
_SLACK = 10.0
# What a refusal says of the agent.
_NO_INPUT = "took no input"
_NOT_ASKED = "was not asked"
_NOT_ATTACHED = "took no client"
_SAID = {"text": "line"}

# What the launcher answers with, by name; of any other name it is a SuptreeError.
_ERRORS: dict[str, type[SuptreeError]] = {
    kind.__name__: kind
    for kind in (
        AccessRefused,
        AlreadyPresent,
        AlreadyRunning,
        AskFailed,
        InputRefused,
        NoSuchAgent,
        NotRunning,
        RequestTimeout,
        SpecError,
        StartFailed,
    )
}


_ours: ContextVar[bool] = ContextVar("a request of ours is being sent", default=False)


class _QuietClient(httpx.AsyncClient):
    """An HTTP client whose requests httpx does not log: they are many, and an embedding program did not ask for them.

    It looks at who is at the other end of each connection before it sends anything there.
    """

    def __init__(self, other_end: OtherEnd, **options: Any) -> None:
        super().__init__(trust_env=False, **options)
        self._other_end = other_end

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; return its response."""
        request.extensions = {**request.extensions, "trace": self._other_end}
        token = _ours.set(True)
        try:
            return await super().send(request, **options)
        finally:
            _ours.reset(token)


def _is_wanted(_record: logging.LogRecord) -> bool:
    return not _ours.get()


# For requests of ours alone: what the program itself does with httpx is logged as before.
logging.getLogger("httpx").addFilter(_is_wanted)


class Client:
    """Talks to the launcher behind a control socket, or with `Client.tcp` behind an address; use it with `async with`.

    Every method raises NotRunning when nobody listens there, NoSuchAgent for an id that the tree does not know, RequestTimeout when no
    answer came in time, AccessRefused when it is not let in, and SuptreeError for whatever else was refused.
    """

    def __init__(self, socket: Path) -> None:
        # The address of a Unix socket needs no certificates; loading them would cost 30 ms.
        transport = httpx.AsyncHTTPTransport(uds=str(socket), verify=False)
        self._begin(str(socket), _QuietClient(OtherEnd(), transport=transport, base_url="http://suptree"))

    @classmethod
    def tcp(cls, url: str, token: str) -> Self:
        """A client of a tree that listens on TCP, or of the proxy before it: `http://127.0.0.1:8321` and what `suptree token` prints.

        With `https` the certificate says who is at the other end; with `http` the other end must first prove that it knows the token.
        Raises SuptreeError for a URL or a token that cannot be.
        """
        try:
            address = httpx.URL(url)
            headers = {"authorization": f"Bearer {token.encode('ascii').decode()}"}
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise SuptreeError(
                "that URL or token cannot be: a URL looks like http://127.0.0.1:8321, a token is what `suptree token` prints"
            ) from None
        odd = "%" in address.host or address.userinfo or address.query or address.fragment
        if address.scheme not in ("http", "https") or not address.host or odd:
            raise SuptreeError("the URL of a tree is http://HOST:PORT or https://HOST:PORT, with nothing before or after that")
        client = cls.__new__(cls)
        has_tls = address.scheme == "https"
        other_end = OtherEnd() if has_tls else OtherEnd(token, address.netloc.decode("ascii"))
        http = _QuietClient(other_end, base_url=address, headers=headers, verify=has_tls)
        client._begin(str(address), http)
        return client

    def _begin(self, where: str, http: httpx.AsyncClient) -> None:
        self._where = where
        self._http = http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the tree goes on."""
        await self._http.aclose()

    async def status(self) -> dict[str, Any]:
        """The status object of the whole tree."""
        return dict(await self._call("GET", "/status"))

    async def agent(self, agent_id: str) -> dict[str, Any]:
        """One agent's part of the status object."""
        return dict(await self._call("GET", _path(agent_id)))

    async def picture(self) -> dict[str, Any]:
        """All rows, and the number (`seq`) of the last event in them."""
        return dict(await self._call("GET", "/picture"))

    async def request(self, operation: str, target: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request to a supervisor, and its answer as it is: `answer` (OTP's word), `value`, `seq` (of the last event before it).

        `start`, `stop`, `restart`, `delete` and OTP's `terminate_child`, `restart_child` and `delete_child` are about a child,
        `which_children` and `count_children` about a supervisor.
        """
        return dict(await self._call("POST", _path(target, operation), arguments))

    async def start(self, agent_id: str, *, fresh: bool = False) -> int:
        """Start an agent that is stopped; return the number of the event by which it ran. Raises AlreadyRunning, StartFailed.

        `fresh` deletes its last checkpoint first.
        """
        return _done(await self.request("start", agent_id, {"fresh": fresh}), agent_id)

    async def stop(self, agent_id: str, *, graceful: bool = True) -> int:
        """Stop an agent, or a supervisor and all below; `graceful=False` begins at SIGKILL. Return the number of the last event of it."""
        return _done(await self.request("stop", agent_id, {"graceful": graceful}), agent_id)

    async def restart(self, agent_id: str, *, fresh: bool = False) -> int:
        """Stop an agent if it runs, and start it; `fresh` deletes its last checkpoint in between. Raises StartFailed."""
        return _done(await self.request("restart", agent_id, {"fresh": fresh}), agent_id)

    async def tell(
        self,
        agent_id: str,
        text: str | None = None,
        *,
        eof: bool = False,
        timeout: float = TELL_LIMIT,  # noqa: ASYNC109  (the agent's, not ours)
    ) -> None:
        """Write a line to the piped stdin of an agent, or hand it to the `handle` of a native one; it has `timeout` seconds to take it.

        With `eof` the program reads the end of its input after that. Raises InputRefused if it takes none.
        """
        if text is None and not eof:
            raise InputRefused(f"{agent_id!r} was given nothing: give it a text, eof=True, or both")
        said = {} if text is None else {"text": text}
        body = _text(_NO_INPUT, agent_id, **said, **({"eof": True} if eof else {}), timeout=timeout)
        _done(_taken(dict(await self._call("POST", _path(agent_id, "tell"), body, timeout + _SLACK)), agent_id, _NO_INPUT), agent_id)

    async def ask(self, agent_id: str, prompt: str, *, timeout: float = ASK_LIMIT) -> Any:  # noqa: ASYNC109  (the agent's, not ours)
        """The reply of a native agent, which has `timeout` seconds for it; then its `ask` is cancelled, and this raises RequestTimeout.

        Raises InputRefused if it was not asked, and AskFailed if there is no reply: the text says whether it failed or ended.
        """
        body = _text(_NOT_ASKED, agent_id, prompt=prompt, timeout=timeout)
        return _reply(dict(await self._call("POST", _path(agent_id, "ask"), body, timeout + _SLACK)), agent_id)

    async def ask_stream(
        self,
        agent_id: str,
        prompt: str,
        *,
        timeout: float = ASK_LIMIT,  # noqa: ASYNC109  (the agent's, not ours)
    ) -> AsyncGenerator[Any, None]:
        """The reply in parts, as they come, within `timeout` seconds in all. A client that stops reading takes the question back.

        Raises what `ask` raises, also in the middle: InputRefused, AskFailed, RequestTimeout.
        """
        body = _text(_NOT_ASKED, agent_id, prompt=prompt, timeout=timeout, stream=True)
        stream = self._stream(_path(agent_id, "ask"), "POST", body)
        async with contextlib.aclosing(stream):
            async for said in stream:
                if "part" not in said:
                    _reply(said, agent_id)
                    return
                yield said["part"]
        raise AskFailed(f"{agent_id!r}: the tree ended before its reply did")

    async def attach(self, agent_id: str) -> tuple[Path, int]:
        """A Unix socket that leads to the stdin and stdout of an agent's program, for one connection within 10 s, and its incarnation.

        Raises InputRefused where the agent has none, or a client is attached already.
        """
        answer = dict(await self._call("POST", _path(agent_id, "attach"), {}))
        _done(_taken(answer, agent_id, _NOT_ATTACHED), agent_id)
        return Path(answer["value"]["socket"]), int(answer["value"]["incarnation"])

    async def forecast(self, agent_id: str, exit_class: str = "crash", reason: str | None = None) -> list[dict[str, Any]]:
        """What each supervisor would do if this child ended so: a step a supervisor, innermost first, as far up as the end goes.

        A step has `supervisor`, `child`, `decision`, `why`, `restarts_left`, `actions` (`verb`, `id`, `delay` in seconds) and `exit`:
        how that supervisor itself would end, or None.
        """
        query = httpx.QueryParams({"class": exit_class, **({"reason": reason} if reason else {})})
        return list(await self._call("GET", _path(agent_id, f"forecast?{query}")))

    async def explanation(self, agent_id: str) -> dict[str, Any]:
        """Why it died and how it stands: `now` (`status`, `text`, `do`) and `deaths`, newest first, with all their evidence."""
        return dict(await self._call("GET", _path(agent_id, "explanation")))

    async def delete(self, agent_id: str, *, keep_checkpoint: bool = False) -> int:
        """Forget an agent that is stopped, or a supervisor and all below it, and the last checkpoints; one that is temporary too.

        With `keep_checkpoint` the child is about to be replaced: its row stays, and counts its restarts on.
        """
        return _done(await self.request("delete", agent_id, {"keep_checkpoint": keep_checkpoint}), agent_id)

    async def start_new(self, spec: ChildSpec, supervisor: str = ROOT) -> int:
        """Add an agent under a supervisor and start it. Raises AlreadyRunning, StartFailed, NoSuchAgent (no such supervisor)."""
        answer = await self.request_start_child(spec, supervisor)
        if answer["answer"] == "not_found":
            raise NoSuchAgent(f"{spec.id!r}: there is no supervisor {supervisor!r} in the tree")
        return _done(answer, spec.id)

    async def request_start_child(self, spec: ChildSpec, supervisor: str) -> dict[str, Any]:
        """OTP's `start_child`, and its answer as it is."""
        # Imported here: what checks specs costs more to import than most commands take.
        from suptree.supervisors.config.wire import encode_child  # noqa: PLC0415

        return dict(await self._call("POST", "/agents", {"spec": encode_child(spec), "supervisor": supervisor}))

    async def shut_down(self) -> None:
        """Begin to stop the whole tree; a second call ends the grace of what still stops."""
        await self._call("POST", "/shutdown")

    async def known_events(self, after: int = 0) -> list[dict[str, Any]]:
        """The events of this run with a number above `after`, oldest first; a `tree_events_skipped` counts those not kept."""
        return list(await self._call("GET", f"/events?follow=false&after={after}"))

    def events(self, after: int = 0) -> AsyncGenerator[dict[str, Any], None]:
        """Every event with a number above `after`, then each new one as it comes; ends when the launcher does."""
        return self._stream(f"/events?after={after}")

    async def log_lines(self, agent_id: str, lines: int = 100, *, previous: bool = False) -> list[str]:
        """The last lines of an agent's output; with `previous` those of the incarnation before the present, or last, one."""
        query = httpx.QueryParams({"lines": lines, "previous": previous})
        return list(await self._call("GET", _path(agent_id, f"logs?{query}")))

    async def follow_log(self, agent_id: str, lines: int = 100) -> AsyncGenerator[str, None]:
        """The last lines of an agent's output, then each new one."""
        async for line in self._stream(f"/agents/{agent_id}/logs?lines={lines}&follow=true"):
            yield line

    async def _call(self, method: str, path: str, body: Any = None, limit: float | None = None) -> Any:
        limit = limit or (_READ_LIMIT if method == "GET" else _ANSWER_LIMIT)
        try:
            response = await self._http.request(method, path, json=body, timeout=httpx.Timeout(limit, connect=_CONNECT_LIMIT))
        except httpx.TimeoutException as error:
            raise self._too_late() from error
        except httpx.TransportError as error:
            raise self._nobody() from error
        _raise_for(response.status_code, response.content)
        return response.json()

    async def _stream(self, path: str, method: str = "GET", body: Any = None) -> AsyncGenerator[Any, None]:
        try:
            async with self._http.stream(method, path, json=body, timeout=httpx.Timeout(None, connect=_CONNECT_LIMIT)) as response:
                if response.status_code != httpx.codes.OK:
                    _raise_for(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))
        except httpx.TimeoutException as error:
            raise self._too_late() from error
        except httpx.ConnectError as error:
            raise self._nobody() from error
        except httpx.TransportError:
            return

    def _nobody(self) -> NotRunning:
        return NotRunning(f"no tree answers on {self._where}")

    def _too_late(self) -> RequestTimeout:
        return RequestTimeout(f"the launcher behind {self._where} did not answer in time; whether the request was carried out is not known")


def _path(agent_id: str, rest: str | None = None) -> str:
    """The address of an agent, whose id cannot lead anywhere else: one that no tree can know is refused here."""
    if fault := fault_of_id(agent_id):
        raise NoSuchAgent(f"no agent {agent_id!r} in the tree: {fault}")
    return f"/agents/{agent_id}" if rest is None else f"/agents/{agent_id}/{rest}"


def _raise_for(status: int, content: bytes) -> None:
    if status == httpx.codes.OK:
        return
    try:
        said = json.loads(content)
        name, message = said["error"], said["message"]
    except (ValueError, KeyError):
        name, message = "", f"the launcher answered {status}"
    raise _ERRORS.get(name, SuptreeError)(message)


def _text(refusal: str, agent_id: str, *, timeout: float, **body: Any) -> dict[str, Any]:
    """The body of a request that says something, if it can be said."""
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 < timeout <= LONGEST:
        raise InputRefused(f"timeout must be a number of seconds above 0, and at most {LONGEST:g}, not {timeout!r}")
    for name, text in body.items():
        if text is True:
            continue
        if not isinstance(text, str):
            raise InputRefused(f"{agent_id!r} {refusal}: the {_SAID.get(name, name)} must be a text, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputRefused(f"{agent_id!r} {refusal}: UTF-8 cannot encode the text") from None
    return {**body, "timeout": timeout}


def _taken(answer: dict[str, Any], agent_id: str, refusal: str) -> dict[str, Any]:
    if answer["answer"] == "refused":
        refused = InputRefused(f"{agent_id!r} {refusal}: {answer['value']}")
        refused.seq = answer.get("seq")
        raise refused
    return answer


def _reply(said: dict[str, Any], agent_id: str) -> Any:
    """The value of the answer to a question; the error that fits when it is none."""
    if "error" in said:
        raise _ERRORS.get(said["error"], SuptreeError)(said["message"])
    if _taken(said, agent_id, _NOT_ASKED)["answer"] == "failed":
        why = said["value"]
        failed = AskFailed(f"{agent_id!r} did not answer: {why['message']}", why["class"], why["retry_after"])
        failed.seq = said.get("seq")
        raise failed
    _done(said, agent_id)
    return said["value"]


def _done(answer: dict[str, Any], agent_id: str) -> int:
    """The event number of an answer that is `ok`; the error that fits any other, with its event number."""
    try:
        return _number_of(answer, agent_id)
    except SuptreeError as refusal:
        refusal.seq = answer.get("seq")
        raise


def _number_of(answer: dict[str, Any], agent_id: str) -> int:
    said, value = answer["answer"], answer.get("value")
    if said == "ok":
        return int(answer["seq"])
    if said == "not_found":
        raise NoSuchAgent(f"no agent {agent_id!r} in the tree")
    if said in ("running", "already_started"):
        raise AlreadyRunning(f"{agent_id!r} runs already")
    if said == "restarting":
        raise AlreadyRunning(f"{agent_id!r} is about to be restarted: stop it first")
    if said == "already_present":
        raise AlreadyPresent(f"{agent_id!r} is in the tree already, stopped: start it, or delete it first")
    raise StartFailed(f"{agent_id!r}: {value}")
