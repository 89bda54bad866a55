"""A tree of hostile programs, and the ledger that they sign."""

import contextlib
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.polling import poll_until

PROGRAMS = Path(__file__).parents[1] / "programs"

LADDER = 0.6
"""Seconds that the rungs of each agent's stop ladder take at most."""
SETTLE = 20.0
"""Seconds until a test gives up waiting for what takes two on a quiet machine."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One program of the fleet: `stays` when it goes on until it is ended."""

    program: str
    stays: bool = True
    arguments: tuple[str, ...] = ()
    more: str = ""


FLEET: dict[str, Hostile] = {
    "ignorer": Hostile("ignores_signals"),
    "daemon": Hostile("double_forks"),
    "leaver": Hostile("leaves_grandchild", stays=False),
    "sower": Hostile("forks_and_exits", stays=False),
    "flooder": Hostile("floods"),
    "mumbler": Hostile("prints_a_long_line"),
    "closer": Hostile("closes_outputs"),
    "babbler": Hostile("writes_garbage"),
    "sleeper": Hostile("stops_itself"),
    "necromancer": Hostile("makes_zombies"),
    "changeling": Hostile("executes_another"),
    "impostor": Hostile("disguises_itself"),
    "glutton": Hostile("eats_memory", stays=False, more='limits = { memory_max = "64M" }'),
    "hoarder": Hostile("opens_files"),
    "failure": Hostile("exits_with_status", stays=False, arguments=("1", "sorry")),
    "victim": Hostile("dies", stays=False, arguments=("11",)),
    "ghost": Hostile("exits_silently", stays=False),
    "diva": Hostile("needs_a_terminal", stays=False),
}


def tree(folder: Path, agents: dict[str, Hostile] | None = None, *, strategy: str = "one_for_one", groups: int = 3) -> str:
    """The text of a tree file that runs hostile programs under a few supervisors; they sign the ledger in `folder`."""
    text = '[tree]\nname = "hostile"\n\n[supervisors.root]\nmax_restarts = 100000\nwithin = 60\n'
    for group in range(groups):
        text += f'\n[supervisors.group{group}]\nstrategy = "{strategy}"\nmax_restarts = 100000\nwithin = 60\n'
    for number, (agent_id, hostile) in enumerate((agents or FLEET).items()):
        arguments = ["-SE", f"{PROGRAMS}/{hostile.program}.py", str(folder), agent_id, *hostile.arguments]
        text += f"""
[agents.{agent_id}]
type = "process_wrapper"
supervisor = "group{number % groups}"
command = "{sys.executable}"
args = {arguments}
stop = {{ cancel = 0, sigint = {LADDER / 2}, sigterm = {LADDER / 2} }}
max_restarts = 1000000
{"" if hostile.stays else "backoff = { base = 2, cap = 4 }"}
{hostile.more}
"""
    return text


@dataclass(frozen=True, slots=True)
class Signature:
    """One process that signed: an agent's, by pid and start time."""

    agent: str
    pid: int
    start_time: int

    @property
    def is_there(self) -> bool:
        """Whether the process still is, be it as a zombie."""
        with contextlib.suppress(OSError):
            return int(Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()[19]) == self.start_time
        return False


@dataclass(slots=True)
class Ledger:
    """What the programs wrote into their folder."""

    folder: Path
    _gone: set[Signature] = field(default_factory=set)

    def signatures(self) -> set[Signature]:
        """Every process that ever signed."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "ledger").read_text().splitlines()
            return {Signature(agent.partition(".")[0], int(pid), int(start)) for agent, pid, start in map(str.split, lines)}
        return set()

    def agents(self) -> set[str]:
        """Whose processes ever signed."""
        return {signature.agent for signature in self.signatures()}

    def left(self) -> set[Signature]:
        """The processes that are still there."""
        left = {signature for signature in self.signatures() - self._gone if signature.is_there}
        self._gone |= self.signatures() - left
        return left

    def overlaps(self) -> list[str]:
        """The incarnations that began while something of the one before was alive."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "overlaps").read_text().splitlines()
        return []

    @staticmethod
    def still_there(those: set[Signature]) -> set[Signature]:
        """Of these processes, those that have not ended."""
        return {signature for signature in those if signature.is_there}

    def wait_until_gone(self, those: set[Signature], within: float = SETTLE) -> float:
        """Return, in seconds, how long it took until none of them was there."""
        began = time.monotonic()
        poll_until(lambda: not self.still_there(those), within, lambda: f"the end of {self.still_there(those)}")
        return time.monotonic() - began

    def wait_until_signed(self, agents: set[str], within: float = SETTLE) -> None:
        """Return when a process of each of these agents has signed."""
        poll_until(lambda: not agents - self.agents(), within, lambda: f"{agents - self.agents()} begin")
