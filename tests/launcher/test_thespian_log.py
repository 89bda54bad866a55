"""What Thespian says of itself: it is in our log, and nowhere else, whatever stands where Thespian would write it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SAYS = """
import logging, os, sys
from pathlib import Path
from suptree.actors.base.log_sink import begin_logging
from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system
from says import Says

begin_logging()
become_subreaper()
system = start_actor_system(Path(sys.argv[1])).thespian
try:
    assert "said" == system.ask(system.createActor(Says), "say it", 20)
finally:
    system.shutdown()
"""

ACTOR = """
import logging
from thespian.actors import Actor
from thespian.system import utilis
from thespian.system.transport import TCPTransport, asyncTransportBase

class Says(Actor):
    def receiveMessage(self, message, sender):
        if message == "say it":
            for module in (utilis, TCPTransport, asyncTransportBase):
                for _ in range(2):
                    module.thesplog(f"{module.__name__} warns of %s", "this", level=logging.WARNING)
                module.thesplog(f"{module.__name__} says", level=logging.INFO)
                module.thesplog(f"{module.__name__} errs %d", "no number", level=logging.ERROR)
            self.send(sender, "said")
"""


@pytest.mark.parametrize("what", ["link", "pipe", "nothing"])
def test_a_warning_is_logged_once_and_no_file_of_thespian_is_touched(tmp_path: Path, what: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was\n")
    (tmp_path / "says.py").write_text(ACTOR)
    places = [tmp_path / "state", tmp_path / "tmp"]
    for place in places:
        place.mkdir()
        if what == "link":
            (place / "thespian.log").symlink_to(victim)
        elif what == "pipe":
            os.mkfifo(place / "thespian.log")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(places[1])}
    with (tmp_path / "said").open("w+") as said:
        done = subprocess.run(
            [sys.executable, "-c", SAYS, str(places[0])], stdout=said, stderr=said, timeout=60, check=False, env=environment
        )
        said.seek(0)
        lines = said.read().splitlines()
    assert 0 == done.returncode, lines
    logged = [json.loads(line) for line in lines]
    modules = ["thespian.system.utilis", "thespian.system.transport.TCPTransport", "thespian.system.transport.asyncTransportBase"]
    expected = [said for module in modules for said in (f"{module} warns of %s", f"{module} errs %d")]
    assert expected == [entry["said"] for entry in logged if entry["event"] == "thespian"]
    assert "this" not in str(logged)
    assert "as it was\n" == victim.read_text()
    left = {"link": ["thespian.log"], "pipe": ["thespian.log"], "nothing": []}[what]
    assert [left, left] == [[path.name for path in place.iterdir() if "thesp" in path.name] for place in places]
