"""What stands at the end of an output without a newline is shown within a second: prompts, progress bars, dots."""

import itertools
import re
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suptree.actors.output.line_splitter import LineSplitter
from suptree.actors.output.log_reader import tail
from suptree.actors.output.newest_part import end_of
from suptree.actors.output.output_log import OutputLog
from suptree.actors.output.redaction import Redactor
from suptree.testing import LiveTree
from tests.polling import poll_until

from .test_output_of_agents import log_of, tree

KEY = "sk-abcabcabd-0123456789"


def texts(path: Path) -> list[str]:
    return [entry.split(" ", 3)[3] for entry in tail(path, 1000)]


def shown(path: Path, *pieces: bytes) -> list[str]:
    """What is kept when all that stands there is shown after each piece."""
    splitter = LineSplitter(OutputLog(path, 1), "out")
    for piece in pieces:
        splitter.feed(piece)
        if splitter.stands:
            splitter.show()
    splitter.close()
    return texts(path)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"Proceed? [y/N] ", b"y\n", b"done\n"], ["Proceed? [y/N] ", "y", "done"]),
        ([b"\r41%\r42%", b"\r43%", b"\r44%\n", b"done\n"], ["42%", "43%", "44%", "done"]),
        ([b"41%\r42%\r", b"43%\r", b"\n"], ["42%", "43%"]),
        ([b"42%", b"\r\n", b"\n", b"next\n"], ["42%", "", "next"]),
        ([b"..", b"..", b"\nok\n"], ["..", "..", "ok"]),
        ([b"\r\r", b"1"], ["1"]),
        ([b"a", b"\nb\nc"], ["a", "b", "c"]),
    ],
)
def test_what_stands_there_is_kept_as_a_line_and_what_comes_next_as_another(
    pieces: list[bytes], expected: list[str], tmp_path: Path
) -> None:
    assert expected == shown(tmp_path / "a.log", *pieces)


@given(st.integers(0, 60), st.integers(0, 60), st.lists(st.sampled_from([KEY, KEY[:11], "sk-", "-", "x", "s"]), max_size=8))
def test_no_secret_is_cut_over_two_shown_parts(first: int, second: int, parts: list[str]) -> None:
    redactor = Redactor({"API_KEY": KEY, "SHORT_KEY": KEY[:11]}, {})
    data = "".join(parts).encode()
    cuts = sorted((min(first, len(data)), min(second, len(data))))
    said, rest = b"", b""
    for piece in (data[: cuts[0]], data[cuts[0] : cuts[1]], data[cuts[1] :]):
        rest += piece
        end = redactor.safe_end(rest)
        said, rest = said + redactor.line(rest[:end]), rest[end:]
    assert redactor.line(data) == said + redactor.line(rest)


def test_the_end_of_a_line_is_what_a_post_mortem_shows() -> None:
    assert "FATAL" == end_of(b"\r1%" * 1000 + b"\rFATAL\r")
    assert "x" * 495 + "FATAL" == end_of(b"x" * 10000 + b"FATAL")
    assert ("\u20ac" * 166, "\r") == (end_of("\u20ac".encode() * 1000), end_of(b"\r"))


def test_a_long_line_that_pauses_is_shown_and_one_that_goes_on_is_another_each_time(tmp_path: Path) -> None:
    splitter = LineSplitter(OutputLog(tmp_path / "a.log", 1), "out")
    splitter.feed(b"x" * 300_000)
    before = splitter.stands
    splitter.feed(b"x" * 10)
    assert before != splitter.stands
    splitter.show()
    splitter.feed(b"FATAL\n")
    assert ["x" * 300_010, "FATAL"] == texts(tmp_path / "a.log")


def seen_after(live: LiveTree, text: str) -> list[str]:
    poll_until(lambda: log_of(live).exists() and text in " ".join(tail(log_of(live), 100)), within=10)
    return [entry.split(" ", 3)[3] for entry in tail(log_of(live), 100)]


def test_a_progress_bar_is_shown_while_it_goes_on_each_time_with_what_is_newest() -> None:
    script = 'n=0; while :; do n=$((n+1)); printf "\\\\r%d%%" $n; sleep 0.1; done'
    with LiveTree(tree(script)) as live:
        live.wait_until_all_run()
        poll_until(lambda: log_of(live).exists() and len(tail(log_of(live), 100)) >= 4, within=20)
        entries = [re.fullmatch(r"(\S+) #1 out (\d+)%", entry) for entry in tail(log_of(live), 100)]
    moments = [datetime.fromisoformat(entry[1]) for entry in entries if entry is not None]
    numbers = [int(entry[2]) for entry in entries if entry is not None]
    assert (len(entries), sorted(set(numbers))) == (len(numbers), numbers)
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
    assert 0.5 < sorted(gaps)[len(gaps) // 2] < 1.5


@pytest.mark.parametrize("stdin", ["pty", "pipe"])
def test_a_prompt_is_shown_before_it_is_answered(stdin: str) -> None:
    script = 'printf "Proceed? [y/N] "; read answer; echo "you said $answer"; exec sleep 1000000'
    with LiveTree(tree(script, f'stdin = "{stdin}"')) as live:
        live.wait_until_all_run()
        begun = time.monotonic()
        assert ["Proceed? [y/N] "] == seen_after(live, "Proceed?")
        assert time.monotonic() - begun < 5
        live.ask(lambda client: client.tell("loud", "y"))
        echo = ["y"] if stdin == "pty" else []
        expected = ["Proceed? [y/N] ", *echo, "you said y"]
        assert expected == seen_after(live, "you said")


def test_a_prompt_of_a_native_agent_is_shown_too(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(
        "import asyncio, threading\n"
        "class Asks:\n"
        "    async def run(self):\n"
        "        print('Proceed? ', end='')\n"
        "        await asyncio.sleep(2)\n"
        "        print('yes')\n"
        "        threading.Thread(target=print, args=('42%',), kwargs={'end': ''}).start()\n"
        "        await asyncio.sleep(1000000)\n"
        "def make(*_): return Asks()\n"
    )
    with LiveTree('[agents.loud]\ntype = "native_llm"\nfactory = "asks:make"\n', sys_path=[str(tmp_path)]) as live:
        live.wait_until_all_run()
        assert ["Proceed? ", "yes", "42%"] == seen_after(live, "42%")


@pytest.mark.parametrize("over", ["\\\\r", "\\\\033[2K\\\\033[1G"])
def test_what_an_agent_says_of_itself_behind_a_progress_bar_is_heard_and_its_end_is_in_the_evidence(over: str) -> None:
    word = '{\\"suptree\\": \\"quota\\", \\"reason\\": \\"rate limit\\"}'
    begins = f'printf "41%%{over}42%%{over}"; sleep 1.5; printf "{over}43%%{over}{word}"; sleep 1.5'
    script = f'{begins}; printf "half{over}FATAL" >&2; exit 1'
    with LiveTree(tree(script, 'restart = "temporary"')) as live:
        live.wait_until(lambda status: status["agents"][0]["status"] in ("crashed", "stopped"))
        exit_ = live.agent("loud")["last_exit"]
        assert ("quota", "rate limit; exit 1", "FATAL") == (exit_["class"], exit_["reason"], exit_["last_error"])


def test_lines_of_a_flood_stay_whole() -> None:
    with LiveTree(tree("timeout 3 yes 0123456789012345678901234567890123456789; echo done; exec sleep 1000000")) as live:
        live.wait_until_all_run()
        poll_until(lambda: log_of(live).exists() and "".join(tail(log_of(live), 1)).endswith(" done"), within=60)
        assert {"0123456789012345678901234567890123456789", "done"} == {entry.split(" ", 3)[3] for entry in tail(log_of(live), 1_000_000)}
