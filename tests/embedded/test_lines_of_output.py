"""What agents print, line by line, in the program that embeds them."""

import asyncio
import os
import signal
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.errors import NoSuchAgent, NotRunning
from suptree.control import OutputLine, ProcessManager
from suptree.control.embedded.agent_output import parse

from .managed import manager, run


def python(program: str) -> dict[str, object]:
    return {"command": sys.executable, "args": ["-c", program], "auto_restart": True}


async def collected(pm: ProcessManager, count: int, agent_id: str = "a", stream: str | None = None) -> list[OutputLine]:
    found: list[OutputLine] = []
    output = pm.output(agent_id, stream, lines=1_000_000)
    async for line in output:
        found.append(line)
        if len(found) == count:
            break
    await output.aclose()
    return found


def test_each_line_has_its_time_stream_and_incarnation_also_across_a_restart() -> None:
    program = 'import sys, time; print("out"); sys.stdout.flush(); print("err", file=sys.stderr, flush=True); time.sleep(1000)'

    async def watch() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", python(program))
            assert {("out", 1, "out"), ("err", 1, "err")} == {(line.text, line.incarnation, line.stream) for line in await collected(pm, 2)}
            pid = pm.processes["a"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            lines = await collected(pm, 4)
            assert {("out", 2, "out"), ("err", 2, "err")} == {(line.text, line.incarnation, line.stream) for line in lines[2:]}
            assert [("out", 1), ("out", 2)] == [(line.text, line.incarnation) for line in await collected(pm, 2, stream="out")]
            for line in lines:
                assert line.at is not None
                assert timedelta(0) <= datetime.now(UTC) - line.at < timedelta(minutes=1)
            assert lines == await pm.logs("a")
            assert {1} == {line.incarnation for line in await pm.logs("a", previous=True)}

    run(watch)


@pytest.mark.parametrize(
    "line",
    ["", "from C code", f"2026-01-02T03:04:05.678Z #{'9' * 5000} out odd", "2026-99-99T99:99:99Z #1 out odd", "2026-01-02T:.:Z #1 err odd"],
    ids=["nothing", "plain", "digits", "no date", "no time"],
)
def test_what_was_written_past_its_actor_is_a_text_alone(line: str) -> None:
    assert OutputLine(line) == parse(line)


@pytest.mark.parametrize("no_id", ["../mine", "..", "", "a/b", "a\0", "\ud800", None, 5])
def test_what_can_be_no_id_leads_to_no_file(tmp_path: Path, no_id: Any) -> None:
    """A program may hand on the id that a stranger asks for."""

    async def watch() -> None:
        async with ProcessManager(tmp_path) as pm:
            assert await pm.start_agent("a", "process_wrapper", {"command": "sleep", "args": ["1000"]})
            (mine := tmp_path / "trees" / "embedded" / "mine.log").write_text("mine\n")
            mine.parent.chmod(0o755)
            output = pm.output(no_id, lines=1)
            with pytest.raises(NoSuchAgent):
                await anext(output)
            assert 0o755 == stat.S_IMODE(mine.parent.stat().st_mode)

    run(watch)


def test_a_secret_is_redacted_as_in_the_log() -> None:
    async def watch() -> None:
        async with manager() as pm:
            config = python('import os, time; print("key", os.environ["API_KEY"], flush=True); time.sleep(1000)')
            assert await pm.start_agent("a", "process_wrapper", config, env={"API_KEY": "sk-of-somebody-12345"})
            (line,) = await collected(pm, 1)
            assert line.text.startswith("key ")
            assert "somebody" not in line.text

    run(watch)


def test_lines_of_a_mebibyte_and_bytes_that_are_no_text_come_whole_to_each_of_ten_readers() -> None:
    program = """
import sys, time
for number in range(100):
    sys.stdout.buffer.write(b"%d " % number + b"x" * 1048576 + b"\\n")
sys.stdout.buffer.write(b"no \\xff text\\nend\\n")
sys.stdout.flush()
time.sleep(1000)
"""

    async def watch() -> None:
        async with manager() as pm:
            config = {**python("import sys; sys.stdin.readline()\n" + program), "stdin": "pipe"}
            assert await pm.start_agent("a", "process_wrapper", config)

            async def read(*, until_line: int | None = None) -> list[tuple[int, str]]:
                found = []
                output = pm.output("a")
                async for line in output:
                    found.append((len(line.text), line.text[:12]))
                    if line.text == "end" or len(found) == until_line:
                        break
                await output.aclose()
                return found

            never = pm.output("a")  # and nobody reads it
            readers = [asyncio.create_task(read()) for _ in range(9)]
            leaves = asyncio.create_task(read(until_line=3))
            await asyncio.sleep(0.5)  # They have begun: what is printed before that, nobody has asked for.
            assert await pm.tell("a", "go")
            whole = [(len(f"{number} ") + 1048576, f"{number} {'x' * 12}"[:12]) for number in range(100)]
            assert whole[:3] == await leaves
            for reader in readers:
                assert [*whole, (len("no \ufffd text"), "no \ufffd text"), (3, "end")] == await reader
            await never.aclose()

    run(watch)


def test_a_reader_that_falls_behind_is_shown_how_much_it_lost_and_the_agent_does_not_wait() -> None:
    program = """
import sys
sys.stdin.readline()
for number in range(1_200_000):
    print(number, "x" * 90)
print("end", flush=True)
sys.stdin.readline()
"""

    async def watch() -> None:
        async with manager() as pm:
            assert await pm.start_agent("a", "process_wrapper", {**python(program), "stdin": "pipe"})
            slow = pm.output("a")
            first = asyncio.ensure_future(anext(slow))
            await asyncio.sleep(0.5)  # It has begun.
            assert await pm.tell("a", "go")
            assert (await first).text.startswith("0 ")
            # It does not read on until the agent has printed everything.
            async for line in pm.output("a", lines=1):
                if line.text == "end":
                    break
            texts = []
            async for line in slow:
                texts.append(line.text)
                if line.text == "end":
                    break
            marks = [text for text in texts if text.startswith("[suptree]")]
            assert marks
            assert "bytes of output are skipped" in marks[0]
            numbers = [int(text.split()[0]) for text in texts if "x" in text and text[0].isdigit()]
            assert sorted(set(numbers)) == numbers
            assert 1_199_999 == numbers[-1]
            await slow.aclose()

    run(watch)


def test_a_reader_hears_the_last_line_and_then_the_end_of_the_tree() -> None:
    async def watch() -> None:
        async with manager() as pm:
            with pytest.raises(NotRunning):
                await anext(pm.output("a"))
            assert await pm.start_agent(
                "a",
                "process_wrapper",
                {"command": "sh", "args": ["-c", "trap 'echo bye; exit' INT; echo hi; while :; do sleep 0.1; done"]},
            )

            async def read() -> list[str]:
                return [line.text async for line in pm.output("a", lines=10)]

            reading = asyncio.create_task(read())
            await collected(pm, 1)
            await pm.shutdown_all()
            assert ["hi", "bye"] == await asyncio.wait_for(reading, 10)
            with pytest.raises(ValueError, match="'out', 'err' or None"):
                await pm.start_agent("a", "process_wrapper", {"command": "true"})
                await anext(pm.output("a", "both"))

    run(watch)
