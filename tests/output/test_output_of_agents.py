"""Programs that print a great deal, or oddly: everything is read, nobody else is kept waiting."""

import re
import time
from pathlib import Path

import pytest

from suptree.actors.errors import SuptreeError
from suptree.actors.output.log_reader import tail
from suptree.actors.output.output_log import log_path, rotated_path
from suptree.testing import LiveTree, kill
from tests.polling import poll_until

FLOOD = 200_000_000
FIRST = 10**60
FLOOD_ENDS = FIRST + FLOOD // 2 // 62
# One of the two may be done with its flood long before the other; so much of each is kept in any case.
CALM = 20_000
LAST = FLOOD_ENDS + CALM
MEMORY_LIMIT = 64 * 1000 * 1000


def tree(script: str, more: str = "") -> str:
    return f"""
[agents.loud]
type = "process_wrapper"
command = "sh"
args = ["-c", '''{script}''']
{more}
"""


def log_of(live: LiveTree) -> Path:
    return log_path(str(live.launcher.paths.state), "loud")


def texts(live: LiveTree, stream: str, lines: int = 100) -> list[str]:
    """The last lines of one stream; of one that is being written perhaps only the beginning."""
    return [entry.split(" ", 3)[3] for entry in tail(log_of(live), lines) if re.match(rf"\S+ #1 {stream} ", entry)]


def peak_memory(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_nothing_is_lost_of_200_mb_and_little_memory_taken() -> None:
    flood, calm = f"seq {FIRST} {FLOOD_ENDS}", f"seq {FLOOD_ENDS + 1} {LAST}; echo done"
    with LiveTree(tree(f"{flood} & {flood} >&2; wait; {calm}; {{ {calm}; }} >&2; exec sleep 1000000")) as live:
        live.wait_until_all_run()
        poll_until(lambda: "done" in texts(live, "err", 1), within=60)
        assert peak_memory(live.agent("loud")["actor_pid"]) < MEMORY_LIMIT
        entries = [*rotated_path(log_of(live)).read_text().splitlines(), *log_of(live).read_text().splitlines()]
    for stream in ("out", "err"):
        *numbers, done = (text for _at, _incarnation, of, text in (entry.split(" ", 3) for entry in entries) if of == stream)
        assert len(numbers) >= CALM
        assert ([str(number) for number in range(LAST - len(numbers) + 1, LAST + 1)], "done") == (numbers, done)


def test_an_agent_that_floods_is_stopped_immediately_and_its_pings_go_on() -> None:
    with LiveTree(tree("yes & exec yes >&2", "heartbeat = { interval = 0.1, suspect_after = 1, dead_after = 5 }")) as live:
        live.wait_until_all_run()
        poll_until(lambda: rotated_path(log_of(live)).exists(), within=60)
        begun = time.monotonic()
        live.ask(lambda client: client.stop("loud"))
        assert time.monotonic() - begun < 1.5
        assert "SIGINT" == live.agent("loud")["last_exit"]["reason"]
        assert not [event for event in live.events() if event["event"] == "agent_suspect"]


def test_a_program_that_closes_its_outputs_goes_on() -> None:
    with LiveTree(tree("echo bye; exec >&- 2>&-; exec sleep 1000000")) as live:
        pid = live.wait_until_all_run()["agents"][0]["pid"]
        poll_until(lambda: ["bye"] == texts(live, "out"), within=60)
        assert ("running", pid) == (live.agent("loud")["status"], live.agent("loud")["pid"])


def test_the_last_words_of_a_program_are_kept() -> None:
    with LiveTree(tree("head -c 3000000 /dev/zero | tr '\\0' x; printf last >&2; kill -9 $$", 'restart = "temporary"')) as live:
        live.wait_until(lambda status: status["agents"][0]["status"] in ("crashed", "stopped"))
        assert (["x" * 3_000_000], ["last"]) == (texts(live, "out"), texts(live, "err"))
        # It was killed: what it said last is kept, and is no error.
        assert ["last"] == live.ask(lambda client: client.explanation("loud"))["deaths"][0]["evidence"]["err"]
        assert live.agent("loud")["last_exit"]["last_error"] is None


def test_the_output_of_the_incarnation_before_is_shown() -> None:
    with LiveTree(tree("echo $SUPTREE_RESTART_COUNT; exec sleep 1000000", "[supervisors.root]\nmax_restarts = 10")) as live:
        wait_for_life(live, 1)
        with pytest.raises(SuptreeError, match="'loud' has had no incarnation before this one"):
            live.ask(lambda client: client.log_lines("loud", previous=True))
        for incarnation in (2, 3):
            kill(live.agent("loud")["pid"])
            wait_for_life(live, incarnation)
            (entry,) = live.ask(lambda client: client.log_lines("loud", previous=True))
            assert entry.endswith(f" #{incarnation - 1} out {incarnation - 2}")


def wait_for_life(live: LiveTree, incarnation: int) -> None:
    """Wait until this incarnation has printed its line, which is the last."""
    live.wait_until(lambda status: status["agents"][0]["status"] == "running" and status["agents"][0]["incarnation"] == incarnation)
    poll_until(lambda: f"#{incarnation} out {incarnation - 1}" in tail(log_of(live), 1)[0], within=60)
