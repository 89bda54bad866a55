"""The start of a Thespian system, at the moments that are hard to hit."""

import subprocess
import sys
from pathlib import Path

START_WITH_SLOW_LOOKS = """
import os, sys, time
from pathlib import Path
from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system

ask = os.getppid

def ask_and_pause():
    try:
        return ask()
    finally:
        time.sleep(0.2)

os.getppid = ask_and_pause
become_subreaper()
start_actor_system(Path(sys.argv[1])).thespian.shutdown()
"""


def test_the_process_between_launcher_and_admin_may_end_at_any_moment(tmp_path: Path) -> None:
    with (tmp_path / "said").open("w+") as said:
        started = subprocess.run(
            [sys.executable, "-c", START_WITH_SLOW_LOOKS, str(tmp_path)], stdout=said, stderr=said, timeout=60, check=False
        )
        said.seek(0)
        assert 0 == started.returncode, said.read()
