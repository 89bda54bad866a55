"""What is fuzzed: each target makes a function that takes bytes, and raises when something is wrong."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

OneInput = Callable[[bytes], None]
_EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`make` imports what is fuzzed: the modules in `instrumented` then tell which of their branches an input took."""

    make: Callable[[], OneInput]
    instrumented: tuple[str, ...]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...]
    longest: int = 4096


def _notify() -> OneInput:
    from suptree.actors.notify.notification import Notification, parse  # noqa: PLC0415

    def one_input(datagram: bytes) -> None:
        said = parse(datagram)
        if said is None:
            return
        assert isinstance(said, Notification)
        for seconds in (said.watchdog, said.extend):
            assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
        assert said.status is None or "\n" not in said.status
        assert isinstance(said.changes_state, bool)
        assert isinstance(said.waits, bool)

    return one_input


def _notify_seeds() -> list[bytes]:
    return [
        b"READY=1",
        b"WATCHDOG=1\nSTATUS=waiting for you\n",
        b"STOPPING=1\0",
        b"EXTEND_TIMEOUT_USEC=5000000\nWATCHDOG_USEC=1",
        b"A=\n\nBARRIER=1",
    ]


def _tree_file() -> OneInput:
    import json  # noqa: PLC0415

    from suptree.actors.errors import ConfigError  # noqa: PLC0415
    from suptree.supervisors.config.tree_file import parse_tree  # noqa: PLC0415
    from suptree.supervisors.config.wire import decode_child, encode_child  # noqa: PLC0415

    def one_input(data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return
        try:
            tree = parse_tree(text, "tree.toml", "/tmp")
        except ConfigError as error:
            assert error.problems
            assert all(place and what for place, what in error.problems), error.problems
            assert str(error).encode("utf-8", "backslashreplace")
            return
        for child in tree.root.children:
            assert child == decode_child(json.loads(json.dumps(encode_child(child))))

    return one_input


def _tree_file_seeds() -> list[bytes]:
    from suptree.supervisors.config.tree_template import TREE_TEMPLATE  # noqa: PLC0415

    # The examples of the template that are commented out are tables too.
    every = "\n".join(line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in TREE_TEMPLATE.splitlines())
    small = b'[tree]\nname = "a"\n[agents.b]\ntype = "process_wrapper"\ncommand = "true"\n'
    return [small, TREE_TEMPLATE.encode(), every.encode(), *(path.read_bytes() for path in _EXAMPLES.glob("*.toml"))]


def _control_bytes() -> OneInput:
    from .control_driver import Driver  # noqa: PLC0415

    return Driver().feed


def _control_requests() -> OneInput:
    from .control_driver import Driver, request_from  # noqa: PLC0415

    driver = Driver()
    return lambda data: driver.feed(request_from(data))


def _request_seeds() -> list[bytes]:
    from .control_driver import seeds  # noqa: PLC0415

    return seeds()


def _chosen_request_seeds() -> list[bytes]:
    from .control_driver import request_seeds  # noqa: PLC0415

    return request_seeds()


def _frames() -> OneInput:
    from .frame_driver import one_input  # noqa: PLC0415

    return one_input


def _frame_seeds() -> list[bytes]:
    from .frame_driver import seeds  # noqa: PLC0415

    return seeds()


def _descriptors() -> OneInput:
    from .notify_driver import DescriptorDriver  # noqa: PLC0415

    return DescriptorDriver().feed


def _much() -> OneInput:
    from .notify_driver import says_much  # noqa: PLC0415

    return says_much


def _flood_seeds() -> list[bytes]:
    return [b"\xff".join(b"\x01" + seed for seed in _notify_seeds() * 10), b"\xff".join([b"\0STATUS=x"] * 100), b"\0READY=1"]


def _state_files() -> OneInput:
    from .state_driver import StateDriver  # noqa: PLC0415

    return StateDriver().feed


def _state_seeds() -> list[bytes]:
    from .state_driver import seeds  # noqa: PLC0415

    return seeds()


_SAID = (
    b"READY=1", b"WATCHDOG=1", b"WATCHDOG=trigger", b"STOPPING=1", b"STATUS=", b"waiting", b"WATCHDOG_USEC=",
    b"EXTEND_TIMEOUT_USEC=", b"BARRIER=1", b"MAINPID=", b"\0", b"\n", b"18446744073709551615", b"18446744073709551616",
)  # fmt: skip
_HTTP = ("suptree.control", "suptree.supervisors.config.wire", "uvicorn.protocols", "h11", "starlette", "sse_starlette")

TARGETS = {
    "notify": Target(
        make=_notify,
        instrumented=("suptree.actors.notify.notification",),
        seeds=_notify_seeds,
        words=_SAID,
    ),
    "notify_descriptors": Target(
        make=_descriptors,
        instrumented=("suptree.actors.notify",),
        seeds=lambda: [bytes([count]) + seed for seed in _notify_seeds() for count in (0, 1, 253)],
        words=_SAID,
    ),
    "notify_floods": Target(
        make=_much,
        instrumented=("suptree.actors.notify.notification", "suptree.actors.heartbeat.allowance", "suptree.actors.base.deadlines"),
        seeds=_flood_seeds,
        words=(*_SAID, b"\xff"),
        longest=1024,
    ),
    "state_files": Target(
        make=_state_files,
        instrumented=(
            "suptree.control.trees", "suptree.control.door.tokens", "suptree.control.seal.tree_key", "suptree.actors.deaths",
            "suptree.actors.output", "suptree.actors.spec.env_file", "suptree.actors.record.journal", "suptree.actors.record.journal_file",
            "suptree.actors.events",
        ),
        seeds=_state_seeds,
        words=(
            b'{"run_id": "', b'"pid": ', b'"event": "tree_gave_up"', b'"story": [', b"null", b"1e999", b"-1", b"true", b"[" * 50,
            b"\\ud800",
            b"2026-11-27T00:10:42.000Z #7 out ", b"\0", b"\xff", b"export ", b"='", b'="', b"\\\n", b"\r\n",
        ),
    ),
    "frames": Target(
        make=_frames,
        instrumented=("suptree.control.seal.seal", "suptree.control.seal.encrypted_seal", "suptree.control.seal.sealed_socket"),
        seeds=_frame_seeds,
        words=(
            b"suptree seal 1 \n", b"suptree seal 2 \n", b"suptree seal 3 \n", b"18>", b"99999999999>", b"\0\0\0\x10", b"\xff\xff\xff\xff",
            b"\x04\0\0\x10",
        ),
    ),
    "tree_file": Target(
        make=_tree_file,
        instrumented=("suptree.supervisors", "suptree.actors", "tomllib"),
        seeds=_tree_file_seeds,
        words=(
            b"[tree]", b"[supervisors.root]", b"[agents.a]", b"[[agents]]", b'type = "process_wrapper"', b'type = "native_llm"',
            b"command =", b"args = [", b"env = {", b"restart =", b'"permanent"', b'"transient"', b"max_restarts =", b"within =",
            b"backoff =", b"stop = {", b"heartbeat = {", b"limits = {", b"liveness_probe = {", b"progress = {", b"factory =",
            b"config = {", b"supervisor =", b"significant = true", b"auto_shutdown =", b"strategy =", b"nan", b"inf", b"1e999", b"0x",
            b"'''", b'"""', b"\\u0000", b"\\ud800", b"1979-05-27T07:32:00Z",
        ),
    ),
    "control_bytes": Target(
        make=_control_bytes,
        instrumented=_HTTP,
        seeds=_request_seeds,
        words=(
            b"GET ", b"POST ", b"HEAD ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"Host: suptree\r\n", b"\r\n\r\n", b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n", b"Content-Type: application/json\r\n", b"Expect: 100-continue\r\n",
            b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n", b"/agents", b"/status",
            b"/events?follow=false&after=", b"/logs?lines=", b"/stop", b"/tell", b"/shutdown", b"0\r\n\r\n", b"99999999999",
            b'{"spec": {', b'"supervisor":', b'{"graceful": true}', b'{"text": "x"}', b"\\ud800", b"1e999", b"NaN",
        ),
    ),
    "control_requests": Target(
        make=_control_requests,
        instrumented=_HTTP,
        seeds=_chosen_request_seeds,
        words=(
            b'{"spec": {"id": "x", "agent": {"agent_id": "x", "agent_type": "process_wrapper", "command": "true"}}}', b'"supervisor": {',
            b'"flags": {}', b'"children": [', b'{"graceful": false}', b'{"text": "x"}', b"\\ud800", b"1e999", b"NaN", b"-1", b"true",
            b"99999999999999999999",
        ),
    ),
}  # fmt: skip
