"""What a supervisor keeps of children that are dead, in a real actor system: nothing, however many there were."""

from pathlib import Path

from tests.base.test_loop_actor import run

PARENT = """
from suptree.actors.base.loop_actor import LoopActor
from suptree.actors.kernel.cgroup import Groups
from suptree.supervisors.actor.child_processes import ChildProcesses
from suptree.supervisors.actor.children import Children, ServiceSpec
from suptree.supervisors.actor.fork_ahead import ForkAhead
from suptree.supervisors.actor.reporter import Reporter
from suptree.supervisors.spec.child_spec import ChildSpec

LIVES = 20


class Child(LoopActor):
    def __init__(self):
        super().__init__()
        self.handlers = {str: lambda message, sender: None}


class Parent(LoopActor):
    def __init__(self):
        super().__init__()
        self.handlers = {str: self.on_begin}

    def on_begin(self, what, sender):
        self.asker, self.lives, self.most, self.ahead = sender, 0, 0, ForkAhead(self)
        self.processes = ChildProcesses(
            self, Children(), self.ahead, Reporter("parent", "run", lambda message: True), groups=Groups(), state_dir=".",
            gone=lambda child: None, hear_out=self.hear_out, buried=self.buried, unkillable=lambda child: None,
        )
        self.begin_life()

    def begin_life(self):
        self.lives += 1
        child = self.processes.fork(ChildSpec(id="child", start=ServiceSpec("child")), self.lives, Child)
        child.channel.tell("what waits until it is up")
        self.ahead.expect(Child if self.lives % 3 == 0 else None)
        self.most = max(self.most, self.kept())
        # Every second one has no time to come up.
        self.loop.call_later(0.3 * (self.lives % 2), child.kill)

    async def hear_out(self, child):
        pass

    def buried(self, child, how, ignored):
        if self.lives < LIVES:
            self.begin_life()
            return
        self.ahead.expect(None)
        left = self.kept(), len(self._myRef._awaitingAddressUpdate._awt)
        self.send(self.asker, f"{self.lives} lives, {self.most <= 2}, {left} left")

    def kept(self):
        return self._myRef._addrManager._managed.kept
"""

USE = """
import sys
from pathlib import Path
from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system
from worker import Parent

become_subreaper()
system = start_actor_system(Path(sys.argv[1])).thespian
try:
    print(system.ask(system.createActor(Parent), "begin", 60))
finally:
    system.shutdown()
"""


def test_no_address_of_the_dead_is_kept_and_nothing_that_waits_for_one(tmp_path: Path) -> None:
    assert ["20 lives, True, (0, 0) left"] == run(tmp_path, PARENT, USE)
