"""Liveness probes (Kubernetes: `livenessProbe`): asks a program from outside whether it is well."""

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..agent.awake_time import within
from ..spec.agent_spec import ProbeSpec
from .execution import SHORTAGES

_STATUS_DIGITS = 3
"""As many as a status of HTTP has (RFC 9112): a number without end is none."""

RunProgram = Callable[[tuple[str, ...], float], Awaitable[None]]


class ProbeFailed(Exception):
    """The program did not answer as one that is well; the text says how."""


class ProbeNotMade(Exception):
    """Something was missing that a probe needs, such as a process, a descriptor or a port: that says nothing of the program."""


async def probe_until_unhealthy(spec: ProbeSpec, run_program: RunProgram) -> str:
    """Probe again and again; return what was wrong, for people, once `failure_threshold` probes in a row have failed.

    `run_program` runs an `exec` probe's argv for at most so many seconds, and raises ProbeFailed or ProbeNotMade. A probe that could not
    be made counts neither way (Kubernetes: a result that is unknown changes nothing).
    """
    failures = 0
    await asyncio.sleep(spec.initial_delay)
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await _probe(spec, run_program)
            failures = 0
        except ProbeNotMade:
            pass
        except ProbeFailed as failure:
            failures += 1
            if failures >= spec.failure_threshold:
                times = f", {failures} times in a row" if failures > 1 else ""
                return f"liveness probe failed{times}: {failure}"
        await asyncio.sleep(began + spec.period - asyncio.get_running_loop().time())


async def _probe(spec: ProbeSpec, run_program: RunProgram) -> None:
    if spec.exec:
        await run_program(spec.exec, spec.timeout)
        return
    what = spec.http_get or spec.tcp_socket
    try:
        await within(spec.timeout, _http_get(spec.http_get) if spec.http_get else _tcp_connect(spec.tcp_socket))
    except TimeoutError:
        raise ProbeFailed(f"{what} did not answer within {spec.timeout:g} s") from None
    except OSError as error:
        if error.errno in (*SHORTAGES, errno.EADDRNOTAVAIL):
            raise ProbeNotMade from None
        raise ProbeFailed(f"{what} cannot be reached: {error.strerror or error}") from None


async def _tcp_connect(address: str | None) -> None:
    _, writer = await _connect(urlsplit(f"//{address}"))
    await _close(writer)


async def _http_get(url: str) -> None:
    # By hand: an HTTP client would cost every actor that imports it more memory than the actor itself.
    parts = urlsplit(url)
    reader, writer = await _connect(parts)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: suptree-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        try:
            version, code = (await reader.readline()).split(maxsplit=2)[:2]
        except ValueError:
            raise ProbeFailed(f"{url} did not answer in HTTP") from None
        if not version.startswith(b"HTTP/1.") or not code.isdigit() or len(code) != _STATUS_DIGITS:
            raise ProbeFailed(f"{url} did not answer in HTTP")
        # Kubernetes takes any status from 200 to 399 for success.
        if not 200 <= int(code) < 400:
            raise ProbeFailed(f"{url} answered {int(code)}")
    finally:
        await _close(writer)


async def _connect(address: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # A name would be looked up in a thread, and we fork.
    host = "127.0.0.1" if address.hostname == "localhost" else address.hostname
    return await asyncio.open_connection(host, address.port or 80)


async def _close(writer: Any) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
