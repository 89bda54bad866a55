"""What an actor does every interval while it waits, in a real actor system."""

from pathlib import Path

from tests.base.test_loop_actor import run

ACTOR = """
import time
from suptree.actors.base.loop_actor import LoopActor


class Worker(LoopActor):
    def __init__(self):
        super().__init__()
        self.handlers = {str: self.on_work}
    calls = 0

    def on_work(self, what, sender):
        if what == "begin":
            self.every_idle(0.05, self.count)
        elif what == "work":
            before, until = self.calls, time.monotonic() + 0.5
            while time.monotonic() < until:
                pass
            self.send(sender, self.calls - before)
        else:
            self.send(sender, self.calls)

    def count(self):
        self.calls += 1
"""

USE = """
import sys, time
from pathlib import Path
from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system
from worker import Worker

become_subreaper()
system = start_actor_system(Path(sys.argv[1])).thespian
try:
    worker = system.createActor(Worker)
    system.tell(worker, "begin")
    deadline = time.monotonic() + 30
    while (calls := system.ask(worker, "calls", 10)) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    print("called while it waits:", calls >= 5)
    print("called while it works:", system.ask(worker, "work", 10))
    print("called when that is done:", system.ask(worker, "calls", 10) > calls)
finally:
    system.shutdown()
"""


def test_what_is_done_while_an_actor_waits_is_not_done_while_it_works(tmp_path: Path) -> None:
    said = run(tmp_path, ACTOR, USE)
    assert ["called while it waits: True", "called while it works: 0", "called when that is done: True"] == said
