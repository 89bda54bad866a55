"""A server that speaks the wire formats of OpenAI's chat completions and Anthropic's messages.

The model that is asked for says how it behaves.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROMPT_TOKENS, COMPLETION_TOKENS = 10, 5


@dataclass
class Seen:
    """One request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[tuple[str, str]]:
        return [(message["role"], message["content"]) for message in self.body["messages"]]


@dataclass
class LLMServer:
    url: str
    requests: list[Seen] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def of(self, model: str) -> list[Seen]:
        """What a model was asked."""
        return [seen for seen in self.requests if seen.body["model"] == model]


@contextmanager
def llm_server() -> Iterator[LLMServer]:
    """Serve for a while, on a port of its own."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    server = LLMServer(f"http://127.0.0.1:{http.server_port}")
    _Handler.server_state = server
    serving = threading.Thread(target=http.serve_forever, daemon=True)
    serving.start()
    try:
        yield server
    finally:
        server.ended.set()
        http.shutdown()
        http.server_close()
        serving.join()


_REFUSALS: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "poor": (402, "pay first", "insufficient_funds", {}),
    "missing": (404, "no such model", "model_not_found", {}),
    "picky": (400, "this is too long", "context_length_exceeded", {}),
    # The first request alone.
    "overloaded": (503, "too many of you", "overloaded", {"Retry-After": "2"}),
    "crowded": (529, "too many of you", "overloaded_error", {"retry-after-ms": "1500"}),
    "closed": (503, "too many of you", "overloaded", {"Retry-After": "soon"}),
}


class _Handler(BaseHTTPRequestHandler):
    server_state: LLMServer

    def log_message(self, *_args: Any) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        state = self.server_state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = Seen(self.path, {key.lower(): value for key, value in self.headers.items()}, body)
        state.requests.append(seen)
        model, first = body["model"], len(state.of(body["model"])) == 1
        if model == "hangs":
            state.ended.wait(60)
        elif model == "broken":
            self._error(500, f"cannot say: {seen.messages[-1][1]}", "server_error")
        elif model in _REFUSALS and (first or model != "overloaded"):
            self._error(*_REFUSALS[model])
        elif model == "limited" and first:
            self._error(429, "slow down", "rate_limit_exceeded", {"Retry-After": "2"})
        elif model == "limited-until" and first:
            self._error(429, "slow down", "rate_limit_exceeded", {"Retry-After": formatdate(time.time() + 3600, usegmt=True)})
        elif model == "locked":
            self._error(401, f"Incorrect API key provided: {self.headers['Authorization']}", "invalid_api_key")
        elif model == "mad":
            self._send(b"<html>", "text/html")
        elif self.path == "/v1/messages":
            self._anthropic(seen)
        elif self.path == "/v1/chat/completions":
            self._openai(seen)
        else:
            self._error(404, f"no such path: {self.path}", "not_found")

    def _openai(self, seen: Seen) -> None:
        text = _reply(seen)
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS, "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS}
        common = {"id": "c-1", "created": 1, "model": seen.body["model"]}
        if not seen.body.get("stream"):
            content = {"blank": None, "odd": {"of": "another shape"}, "spaces": " \n"}.get(seen.body["model"], text)
            choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
            choices = [] if seen.body["model"] == "choiceless" else [choice]
            counted = {} if seen.body["model"] == "countless" else {"usage": usage}
            self._send(json.dumps({**common, "object": "chat.completion", "choices": choices, **counted}).encode())
            return
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}]} for word in text.split(" ")
        ]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (seen.body.get("stream_options") or {}).get("include_usage"):
            chunks.append({"choices": [], "usage": usage})
        if seen.body["model"] == "breaks-off":
            # What the question takes, some count immediately.
            chunks = [{**chunks[0], "usage": {**usage, "completion_tokens": 0}}, chunks[1]]
        self._begin_stream()
        for number, chunk in enumerate(chunks):
            if seen.body["model"] == "stops-midway" and number == 1:
                self.server_state.ended.wait(60)
            self._event({**common, "object": "chat.completion.chunk", **chunk})
        self.wfile.write(b"data: [DONE]\n\n")

    def _anthropic(self, seen: Seen) -> None:
        text = _reply(seen)
        message = {"id": "m-1", "type": "message", "role": "assistant", "model": seen.body["model"], "stop_sequence": None}
        usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS}
        if not seen.body.get("stream"):
            content = [{"type": "text", "text": text}]
            self._send(json.dumps({**message, "content": content, "stop_reason": "end_turn", "usage": usage}).encode())
            return
        self._begin_stream()
        begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 0}}
        self._event({"type": "message_start", "message": begun}, "message_start")
        self._event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, "content_block_start")
        for word in text.split(" "):
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            self._event(delta, "content_block_delta")
        self._event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
        self._event(ended, "message_delta")
        self._event({"type": "message_stop"}, "message_stop")

    def _send(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def _event(self, data: dict[str, Any], name: str | None = None) -> None:
        self.wfile.write((f"event: {name}\n" if name else "").encode() + f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def _error(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _reply(seen: Seen) -> str:
    last = seen.body["messages"][-1]["content"]
    return f"you said {last if isinstance(last, str) else last[-1]['text']}"
