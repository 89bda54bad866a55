"""The timers of an actor's loop, in a real actor system."""

import subprocess
import sys
from pathlib import Path

ACTOR = """
import random
from suptree.actors.loop_actor import LoopActor

CHAINS, TICKS = 5, 5000


class Worker(LoopActor):
    handlers = {str: "on_begin"}

    def on_begin(self, what, sender):
        self.left = TICKS
        for _ in range(CHAINS):
            self.tick(sender)

    def tick(self, sender):
        self.left -= 1
        if self.left == 0:
            self.send(sender, "all fired")
        elif self.left > 0:
            self.loop.call_later(random.uniform(0, 0.004), self.tick, sender)
"""

USE = """
import sys
from pathlib import Path
from suptree.actors.linux import become_subreaper
from suptree.control.actor_system import start_actor_system
from worker import Worker

become_subreaper()
system = start_actor_system(Path(sys.argv[1])).thespian
try:
    for worker in [system.createActor(Worker) for _ in range(4)]:
        system.tell(worker, "begin")
    for _ in range(4):
        print(system.listen(20))
finally:
    system.shutdown()
"""


def test_no_timer_is_lost_when_nothing_else_happens(tmp_path: Path) -> None:
    """Thespian's own wake-ups are, about once in two thousand of such timers: it takes less than a microsecond for no time at all."""
    (tmp_path / "worker.py").write_text(ACTOR)
    (tmp_path / "use.py").write_text(USE)
    with (tmp_path / "said").open("w+") as said:
        subprocess.run([sys.executable, tmp_path / "use.py", tmp_path], stdout=said, stderr=said, timeout=100, check=False)
        said.seek(0)
        assert ["all fired"] * 4 == said.read().splitlines()
