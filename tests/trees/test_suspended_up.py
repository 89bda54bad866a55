"""`suptree up` that is stopped for so long that its launcher lets it go, and keeps no longer what it has missed."""

import re
import signal
import subprocess
import sys

import pytest

from ..polling import poll_until
from .commands import LIMIT, Place

LONG = "x" * 8000
# They end and begin again, and the event of each start is long: some fifty fill what is between launcher and `up`.
TREE = '[tree]\nname = "t"\n' + "".join(
    f'[agents.a{number}]\ntype = "process_wrapper"\ncommand = "true"\nargs = ["{LONG}"]\nmax_restarts = 1_000_000\n' for number in range(4)
)
# A launcher that keeps fewer events, and is less patient with a reader than others: a minute and ten thousand events take too long.
LAUNCHER = """#!/bin/sh
exec {python} -c '
import sys
from suptree.control.door import http_protocol
from suptree.control.launcher import launcher, link
link._EVENTS_KEPT, http_protocol.UNREAD_LIMIT = 50, 2.0
sys.argv[1:] = sys.argv[-1:]
sys.exit(launcher.main())
' "$@"
"""
UP = """
import sys
from suptree.scripts.main import main
sys.executable, sys.argv = sys.argv[1], ["suptree", "up", sys.argv[2]]
main()
"""
MISSED = re.compile(r"(\d+) events (?:before the next one are not kept|are not shown)[^\n]*\n(.+\n)")
LIVES = 25
"""So many of each agent are lived while `up` is stopped."""


def test_after_up_was_stopped_for_long_a_line_counts_what_it_missed_and_events_come_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Place(tmp_path_factory, TREE) as place:
        python, output = place.folder / "python", place.folder / "output"
        python.write_text(LAUNCHER.format(python=sys.executable), encoding="utf-8")
        python.chmod(0o700)
        command = [sys.executable, "-c", UP, str(python), str(place.file)]
        with output.open("wb") as said, subprocess.Popen(command, env=place.environment, cwd=place.folder, stdout=said, stderr=said) as up:
            poll_until(lambda: "a3 #2" in output.read_text(encoding="utf-8"), LIMIT)
            up.send_signal(signal.SIGSTOP)
            shown = output.read_text(encoding="utf-8")
            incarnation = newest(place)
            poll_until(lambda: newest(place) > incarnation + LIVES, LIMIT, lambda: newest(place))
            up.send_signal(signal.SIGCONT)
            missed = poll_until(lambda: MISSED.findall(output.read_text(encoding="utf-8")[len(shown) :]), LIMIT)
            up.terminate()
            assert 0 == up.wait(LIMIT)
        # Once for each gap, and events come after that: the event that the launcher let `up` go is kept apart, and may stand between.
        assert len(missed) in (1, 2)
        assert sum(int(count) for count, _ in missed) > LIVES
        assert "t: 0 processes left" == output.read_text(encoding="utf-8").splitlines()[-1]
        poll_until(lambda: not place.processes(), LIMIT)


def newest(place: Place) -> int:
    """The number of the newest incarnation of all agents."""
    return max(int(row["incarnation"]) for row in place.status()["agents"])
