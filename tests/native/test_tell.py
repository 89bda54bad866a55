"""Telling agents something: real programs that read, that do not, and that want a terminal."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from suptree.actors.errors import InputRefused, NoSuchAgent
from suptree.control import ProcessManager
from suptree.testing import LiveTree
from tests.polling import poll_until, poll_until_async

MIB = 1024 * 1024
AGENTS = str(Path(__file__).parents[1] / "agents")


def tree(command: str, *args: str, more: str = "") -> str:
    return f"""
[supervisors.root]
max_restarts = 10

[agents.a]
type = "process_wrapper"
command = "{command}"
args = [{", ".join(f"'''{arg}'''" for arg in args)}]
{more}
"""


PIPE = 'stdin = "pipe"'
PTY = 'stdin = "pty"'
READS = """
import sys
for line in sys.stdin:
    print("heard", line.strip(), flush=True)
print("end of input", flush=True)
"""
ON_A_TERMINAL = """
import os, sys
print([os.isatty(number) for number in range(3)], os.get_terminal_size(), open("/dev/tty").isatty(), flush=True)
print("error", file=sys.stderr, flush=True)
for line in sys.stdin:
    print("heard", line.strip(), flush=True)
print("end of input", flush=True)
"""


def tell(live: LiveTree, text: str, agent_id: str = "a") -> None:
    live.ask(lambda client: client.tell(agent_id, text))


def printed(live: LiveTree, count: int, within: float = 10.0) -> list[str]:
    """Stream and text of the first lines, when there are so many."""

    def read() -> list[str]:
        lines = live.ask(lambda client: client.log_lines("a"))
        return lines if len(lines) >= count else []

    lines = poll_until(read, within, lambda: live.ask(lambda client: client.log_lines("a")))
    return [line.split(" ", 2)[2] for line in lines]


def refusal(live: LiveTree, text: str = "x") -> str:
    with pytest.raises(InputRefused) as caught:
        tell(live, text)
    return str(caught.value)


def test_cat_gets_every_line() -> None:
    with LiveTree(tree("cat", more=PIPE)) as live:
        live.wait_until_all_run()
        lines = ["one", "", " zwei ", "日本", "a\tb", "x" * 100_000]
        for text in lines:
            tell(live, text)
        assert [f"out {text}" for text in lines] == printed(live, len(lines))


def test_a_stop_closes_the_input_first() -> None:
    with LiveTree(tree(sys.executable, "-c", READS, more=PIPE)) as live:
        live.wait_until_all_run()
        tell(live, "hello")
        live.ask(lambda client: client.stop("a"))
        assert ["out heard hello", "out end of input"] == printed(live, 2)
        assert ("shutdown", "exit 0") == (live.agent("a")["last_exit"]["class"], live.agent("a")["last_exit"]["reason"])


def test_the_next_rung_comes_when_the_end_of_the_input_does_not_end_it() -> None:
    with LiveTree(tree("sleep", "1000000", more=PIPE + "\nstop = { cancel = 0.3 }")) as live:
        live.wait_until_all_run()
        begun = time.monotonic()
        live.ask(lambda client: client.stop("a"))
        assert 0.3 < time.monotonic() - begun < 2
        assert "SIGINT" == live.agent("a")["last_exit"]["reason"]


def test_a_program_that_never_reads_blocks_nobody() -> None:
    with LiveTree(tree("sleep", "1000000", more=PIPE + "\nheartbeat = { interval = 0.1, suspect_after = 1, dead_after = 5 }")) as live:
        live.wait_until_all_run()
        for _ in range(4):
            tell(live, "x" * (MIB // 4))
        error = refusal(live, "x" * (MIB // 4))
        assert error.startswith("'a' took no input: it does not read its stdin: ")
        assert error.endswith(" bytes wait for it already, and no more than 1048576 may")
        assert "'a' took no input: a text must be shorter than 1048576 bytes, not 1048576" == refusal(live, "x" * MIB)
        live.ask(lambda client: client.stop("a"))
        assert "SIGINT" == live.agent("a")["last_exit"]["reason"]
        assert not [event for event in live.events() if event["event"] == "agent_suspect"]


def test_an_agent_that_takes_no_line_says_why() -> None:
    with LiveTree(tree("sleep", "1000000")) as live:
        live.wait_until_all_run()
        assert '\'a\' took no input: it has no stdin that could be written to: set stdin = "pipe" or "pty"' == refusal(live)
        live.ask(lambda client: client.stop("a"))
        assert "'a' took no input: it is not running" == refusal(live)
        with pytest.raises(NoSuchAgent):
            tell(live, "x", "nobody")
        with pytest.raises(InputRefused, match="'root' took no input: it is a supervisor, not an agent"):
            tell(live, "x", "root")
        with pytest.raises(InputRefused, match="UTF-8"):
            tell(live, "\udcff")


def test_a_program_that_has_closed_its_stdin_says_so() -> None:
    with LiveTree(tree("sh", "-c", "exec <&-; echo closed; exec sleep 1000000", more=PIPE)) as live:
        live.wait_until_all_run()
        printed(live, 1)
        assert "'a' took no input: its stdin is closed" == refusal(live)


def test_a_program_with_a_terminal_has_one_in_every_way() -> None:
    with LiveTree(tree(sys.executable, "-c", ON_A_TERMINAL, more=PTY)) as live:
        live.wait_until_all_run()
        seen = ["out [True, True, True] os.terminal_size(columns=80, lines=24) True", "out error"]
        assert seen == printed(live, 2)
        tell(live, "hello")
        assert [*seen, "out hello", "out heard hello"] == printed(live, 4)
        assert "'a' took no input: its terminal takes lines of at most 4095 bytes" == refusal(live, "x" * 4096)
        live.ask(lambda client: client.stop("a"))
        assert "out end of input" == printed(live, 5)[4]
        assert "exit 0" == live.agent("a")["last_exit"]["reason"]


def test_the_output_of_a_terminal_is_kept_to_the_end_and_its_death_is_known() -> None:
    with LiveTree(tree("sh", "-c", "seq 20000; printf last; kill -9 $$", more=PTY + '\nrestart = "temporary"')) as live:
        live.wait_until(lambda status: status["agents"][0]["status"] == "crashed")
        lines = live.ask(lambda client: client.log_lines("a", 100_000))
        assert [*map(str, range(1, 20_001)), "last"] == [line.split(" ", 3)[3] for line in lines]
        assert "SIGKILL" == live.agent("a")["last_exit"]["reason"]


def test_interrupts_reach_a_program_with_a_terminal() -> None:
    with LiveTree(tree("sleep", "1000000", more=PTY + "\nstop = { cancel = 0 }")) as live:
        live.wait_until_all_run()
        live.ask(lambda client: client.stop("a"))
        assert "SIGINT" == live.agent("a")["last_exit"]["reason"]


def test_the_handle_of_a_native_agent_gets_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(AGENTS)

    async def talk() -> tuple[list[bool], str]:
        async with ProcessManager() as pm:
            await pm.start_agent("listener", "native_llm", {"factory": "pm_agents:Listener"})
            await pm.start_agent("deaf", "native_llm", {"factory": "pm_agents:Steady"})
            await pm.start_agent("cat", "process_wrapper", {"command": "cat", "stdin": "pipe"})
            taken = [await pm.tell(agent_id, "hello") for agent_id in ("listener", "deaf", "cat", "nobody")]
            await pm.tell("listener", "fail")
            last = await poll_until_async(lambda: pm.get_all_agents()["listener"].last_exit)
            assert last is not None
            return taken, last["reason"]

    assert ([True, False, True, False], "ValueError: after ['hello', 'fail']") == asyncio.run(talk())


@pytest.mark.parametrize("stdin", [PIPE, PTY])
def test_a_program_that_reads_to_the_end_of_its_input_can_be_given_one(stdin: str) -> None:
    with LiveTree(tree(sys.executable, "-c", READS, more=f'{stdin}\nrestart = "temporary"')) as live:
        live.wait_until_all_run()
        live.ask(lambda client: client.tell("a", "one", eof=True))
        live.wait_until(lambda status: (status["agents"][0]["last_exit"] or {}).get("class") == "normal")
        said = [line.split(" ", 2)[2] for line in live.ask(lambda client: client.log_lines("a"))]
        assert ["out heard one", "out end of input"] == [line for line in said if line != "out one"]


def test_the_end_alone_ends_its_input_and_a_line_after_it_is_refused() -> None:
    with LiveTree(tree(sys.executable, "-c", READS + "import time; time.sleep(60)", more=PIPE)) as live:
        live.wait_until_all_run()
        live.ask(lambda client: client.tell("a", eof=True))
        assert ["out end of input"] == printed(live, 1)
        with pytest.raises(InputRefused, match="its stdin is closed"):
            tell(live, "too late")
        with pytest.raises(InputRefused, match="was given nothing"):
            live.ask(lambda client: client.tell("a"))
