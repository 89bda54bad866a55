"""Where a supervisor stands in the tree: below another supervisor, or at the top."""

import os
from pathlib import Path
from typing import Protocol

from suptree.actors.base.loop_actor import LoopActor
from suptree.actors.base.messages import Begin, Ended, Started
from suptree.actors.events.event_types import TreeReady
from suptree.actors.exits import Exit
from suptree.actors.kernel.private_files import remove_folder

from .neighbours import Above
from .reporter import Reporter


class Place(Protocol):
    """What depends on the place of a supervisor."""

    @property
    def above(self) -> Above | None:
        """The supervisor above, if there is one."""

    def announce(self, reporter: Reporter) -> None:
        """All children are up, and the registry knows."""

    def say_goodbye(self, how: Exit) -> None:
        """All children are down: the supervisor ends."""

    def clean_up(self) -> None:
        """The parent is dead, and no process below the supervisor is left."""


class BelowSupervisor:
    """The place of every supervisor but the top: its start and its end are reported to the supervisor above."""

    def __init__(self, actor: LoopActor, begin: Begin, above: Above) -> None:
        self._actor = actor
        self._begin = begin
        self.above = above

    def announce(self, _reporter: Reporter) -> None:
        """Tell the supervisor above."""
        self.above.channel.tell(Started(self._begin.id, self._begin.incarnation))

    def say_goodbye(self, how: Exit) -> None:
        """Tell the supervisor above how it ended, once."""
        if not self._actor.ended:
            self._actor.end(Ended(self._begin.id, self._begin.incarnation, how))

    def clean_up(self) -> None:
        """Nothing: what is shared is of the tree."""


class AtTheTop:
    """The place of the top supervisor. Above is the launcher, which is no actor, and sees the end of the tree through a pidfd."""

    above = None

    def __init__(self, begin: Begin) -> None:
        self._folders = (begin.context.runtime_dir, begin.context.shared_dir)

    def announce(self, reporter: Reporter) -> None:
        """Report that the tree is up; the launcher reads it from the registry."""
        reporter.report(TreeReady())

    def say_goodbye(self, _how: Exit) -> None:
        """End the process."""
        os._exit(0)

    def clean_up(self) -> None:
        """The launcher is dead: leave no socket behind."""
        for folder in self._folders:
            remove_folder(Path(folder))
