"""The loop of an actor, in a real actor system."""

import subprocess
import sys
from pathlib import Path

TIMERS = """
import random
from suptree.actors.base.loop_actor import LoopActor

CHAINS, TICKS = 5, 5000


class Worker(LoopActor):
    def __init__(self):
        super().__init__()
        self.handlers = {str: self.on_begin}

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

USE_TIMERS = """
import sys
from pathlib import Path
from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system
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


ERRORS = """
import os
from suptree.actors.base.loop_actor import LoopActor


class Worker(LoopActor):
    def __init__(self):
        super().__init__()
        self.handlers = {str: self.on_do}

    def on_do(self, what, sender):
        if what == "callback":
            self.loop.call_soon(self.fails)
        elif what == "every":
            self.calls = 0
            self.every(0.01, self.fails_at_last)
        elif what == "task":
            self.spawn(self.fails_later())
        elif what == "reader":
            self.ends = os.pipe()
            os.close(self.ends[1])
            self.loop.add_reader(self.ends[0], self.fails)
        else:
            self.send(sender, os.getpid())

    def fails(self):
        raise ValueError("on purpose")

    def fails_at_last(self):
        self.calls += 1
        if self.calls == 3:
            self.fails()

    async def fails_later(self):
        self.fails()


class Host(Worker):
    runs_foreign_code = True
"""

USE_ERRORS = """
import os, select, sys
from pathlib import Path
from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system
from worker import Host, Worker

become_subreaper()
system = start_actor_system(Path(sys.argv[1])).thespian
try:
    def does(kind, what):
        worker = system.createActor(kind)
        pidfd = os.pidfd_open(system.ask(worker, "say your pid", 20))
        system.tell(worker, what)
        print(kind.__name__, what, "ends it:", bool(select.select([pidfd], [], [], 20)[0]))
    for what in ("callback", "every", "task", "reader"):
        does(Worker, what)
    does(Host, "every")
    host = system.createActor(Host)
    pid = system.ask(host, "say your pid", 20)
    system.tell(host, "callback")
    print("foreign code does not:", system.ask(host, "say your pid", 20) == pid)
finally:
    system.shutdown()
"""


SIGNS = """
import time
from suptree.actors.base.life_stamps import LifeStamps
from suptree.actors.base.loop_actor import LoopActor
from suptree.actors.base.thespian_hooks import transport_of

STAMPS = LifeStamps("every", "every_idle")


class Worker(LoopActor):
    def __init__(self):
        super().__init__()
        self.handlers = {str: self.on_do}

    def on_do(self, what, sender):
        if what in ("every", "every_idle"):
            getattr(self, what)(0.05, lambda: STAMPS.stamp(what))
        elif what == "send":
            self.other = self.createActor(Stuck)
            self.send(self.other, "get stuck")
            self.send(self.other, "what it cannot take")
        else:
            transport_of(self)._processIntentTimeouts = lambda: time.sleep(1000)
            return
        self.send(sender, "done")


class Stuck(Worker):
    def on_do(self, what, sender):
        time.sleep(1000)
"""

USE_SIGNS = """
import sys, time
from pathlib import Path
from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system
from worker import STAMPS, Worker

become_subreaper()
system = start_actor_system(Path(sys.argv[1])).thespian
try:
    def stamps_again(what, within):
        seen, deadline = STAMPS.seen(what), time.monotonic() + within
        while time.monotonic() < deadline:
            if STAMPS.seen(what) > seen:
                return True
            time.sleep(0.01)
        return False
    for what in ("every", "every_idle"):
        worker = system.createActor(Worker)
        system.ask(worker, what, 20)
        print(what, "at rest:", all(stamps_again(what, 20) for _ in range(5)))
        system.ask(worker, "send", 20)
        print(what, "while a message waits:", all(stamps_again(what, 20) for _ in range(5)))
        system.tell(worker, "get stuck")
        deadline = time.monotonic() + 20
        while (stamps := stamps_again(what, 1)) and time.monotonic() < deadline:
            pass
        print(what, "where Thespian is stuck:", stamps)
finally:
    system.shutdown()
"""


LOGS_ELSEWHERE = """
import sys
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
"""


def run(folder: Path, actor: str, use: str) -> list[str]:
    """What a program says that uses an actor."""
    (folder / "worker.py").write_text(actor)
    (folder / "use.py").write_text(LOGS_ELSEWHERE + use)
    with (folder / "said").open("w+") as said:
        subprocess.run([sys.executable, folder / "use.py", folder], stdout=said, stderr=subprocess.DEVNULL, timeout=100, check=False)
        said.seek(0)
        return said.read().splitlines()


def test_no_timer_is_lost_when_nothing_else_happens(tmp_path: Path) -> None:
    """Thespian's own wake-ups are, about once in two thousand of such timers: it takes less than a microsecond for no time at all."""
    assert ["all fired"] * 4 == run(tmp_path, TIMERS, USE_TIMERS)


def test_an_error_in_a_callback_of_ours_ends_the_actor(tmp_path: Path) -> None:
    endings = [f"{what} ends it: True" for what in ("Worker callback", "Worker every", "Worker task", "Worker reader", "Host every")]
    assert [*endings, "foreign code does not: True"] == run(tmp_path, ERRORS, USE_ERRORS)


def test_an_actor_shows_that_it_lives_at_rest_and_while_a_message_waits_but_not_when_it_can_hear_nothing(tmp_path: Path) -> None:
    states = {"at rest": True, "while a message waits": True, "where Thespian is stuck": False}
    assert [f"{what} {state}: {shown}" for what in ("every", "every_idle") for state, shown in states.items()] == run(
        tmp_path, SIGNS, USE_SIGNS
    )
