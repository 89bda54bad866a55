"""An MCP client: suptree runs the server and restarts it, this program talks to the server over stdin and stdout.

    python examples/mcp_client.py npx -y @modelcontextprotocol/server-everything

It prints the tools of the server, calls one of them, kills the server in the middle of a call, and calls the tool again.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from suptree.actors.errors import AgentEnded
from suptree.control import ProcessManager, StdioReader, StdioWriter

VERSION = "2025-03-26"
HELLO = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "suptree-example", "version": "1"}}
CALL_LIMIT = 30.0


class McpError(Exception):
    """The server answered a request with an error."""


class McpSession:
    """Requests to one MCP server, as many at a time as you like; every request that waits when the server ends raises AgentEnded."""

    def __init__(self, reader: StdioReader, writer: StdioWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._ended: AgentEnded | None = None

    async def request(self, method: str, params: dict[str, Any]) -> Any:
        """The result of one request. Raises McpError, AgentEnded, and TimeoutError after half a minute."""
        if self._ended is not None:
            raise self._ended
        self._last += 1
        number, answer = self._last, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self.say({"id": number, "method": method, "params": params})
            async with asyncio.timeout(CALL_LIMIT):
                return await answer
        finally:
            del self._waiting[number]

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        """What a tool of the server returns."""
        return await self.request("tools/call", {"name": name, "arguments": arguments})

    async def list_tools(self) -> list[dict[str, Any]]:
        """Every tool of the server; a server may give them in pages."""
        tools: list[dict[str, Any]] = []
        params: dict[str, Any] = {}
        while True:
            page = await self.request("tools/list", params)
            tools += page["tools"]
            if not page.get("nextCursor"):
                return tools
            params = {"cursor": page["nextCursor"]}

    async def say(self, message: dict[str, Any]) -> None:
        """Send one message: a line of JSON."""
        self._writer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await self._writer.drain()

    async def listen(self) -> None:
        """Hand each answer to the request that waits for it, until the server ends."""
        try:
            async for line in self._reader:
                message = json.loads(line)
                if "method" in message:
                    await self._answer(message)
                elif (answer := self._waiting.get(message["id"])) is not None and not answer.done():
                    if "error" in message:
                        answer.set_exception(McpError(message["error"]["message"]))
                    else:
                        answer.set_result(message["result"])
        except AgentEnded as ended:
            self._ended = ended
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ended)

    async def _answer(self, message: dict[str, Any]) -> None:
        """The server may ask too: a ping is answered, everything else is not offered. A notification wants no answer."""
        if message["method"] == "ping":
            await self.say({"id": message["id"], "result": {}})
        elif "id" in message:
            await self.say({"id": message["id"], "error": {"code": -32601, "message": f"no such method: {message['method']}"}})


@contextlib.asynccontextmanager
async def mcp_session(pm: ProcessManager, agent_id: str) -> AsyncIterator[McpSession]:
    """A session with the server that runs as this agent; after a restart of the server, enter a new one."""
    async with pm.stdio(agent_id, timeout=60) as (reader, writer):
        session = McpSession(reader, writer)
        listening = asyncio.create_task(session.listen())
        try:
            await session.request("initialize", HELLO)
            await session.say({"method": "notifications/initialized"})
            yield session
        finally:
            listening.cancel()


def text_of(result: dict[str, Any]) -> str:
    """The text that a tool returned."""
    return "\n".join(part["text"] for part in result["content"] if part["type"] == "text")


# A tool of each server that is known to be harmless, and what to call it with.
HARMLESS: dict[str, dict[str, Any]] = {
    "echo": {"message": "hello"},
    "list_allowed_directories": {},
    "read_graph": {},
}


async def main(command: list[str]) -> None:
    """Talk to a server, kill it in the middle of a call, and talk to its next incarnation."""
    async with ProcessManager() as pm:
        if not await pm.start_agent("mcp", "process_wrapper", command=command[0], args=command[1:], stdin="pipe", auto_restart=True):
            raise SystemExit(f"{command[0]} could not be started")
        async with mcp_session(pm, "mcp") as session:
            tools = [tool["name"] for tool in await session.list_tools()]
            print("tools:", ", ".join(tools))
            tool = next(name for name in HARMLESS if name in tools)
            print(f"{tool}:", text_of(await session.call_tool(tool, HARMLESS[tool])))
            if group := pm.processes["mcp"].pid:
                # The program leads its process group, which has what `npx` starts too. Stopped, it is certainly in the middle of the call.
                os.killpg(group, signal.SIGSTOP)
                call = asyncio.create_task(session.call_tool(tool, HARMLESS[tool]))
                await asyncio.sleep(0.1)
                os.killpg(group, signal.SIGKILL)
                try:
                    await call
                except AgentEnded as ended:
                    print("killed:", ended)
        async with mcp_session(pm, "mcp") as session:
            print(f"{tool}:", text_of(await session.call_tool(tool, HARMLESS[tool])))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(f"usage: {sys.argv[0]} COMMAND [ARGUMENT]...")
    asyncio.run(main(sys.argv[1:]))
