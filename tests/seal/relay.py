"""A Thespian system at an address: `python -m tests.seal.relay FOLDER ADDRESS`. Says what it saw, and ends when its stdin does."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from thespian.actors import Actor, ActorAddress

from suptree.actors.kernel.linux import become_subreaper
from suptree.control.seal.actor_system import start_actor_system

MESSAGES = 20


class Echo(Actor):  # type: ignore[misc]  # Thespian is untyped
    """Sends back what it is sent."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802
        if isinstance(message, str):
            self.send(sender, message)


class Relay(Actor):  # type: ignore[misc]
    """Has a child of its own repeat what it is asked."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802
        if isinstance(message, tuple):
            self.asked, self.echo = sender, self.createActor(Echo)
            for text in message:
                self.send(self.echo, text)
            self.heard: list[str] = []
        elif isinstance(message, str):
            self.heard.append(message)
            if len(self.heard) == MESSAGES:
                self.send(self.asked, tuple(self.heard))


def main(folder: str, address: str) -> None:
    """Run it."""
    become_subreaper()
    system = start_actor_system(Path(folder), address)
    texts = tuple(f"my secret {number}" for number in range(MESSAGES))
    heard = system.thespian.ask(system.thespian.createActor(Relay), texts, 20)
    system.stop_listening()
    print(json.dumps({"heard": heard == texts, "pid": os.getpid()}), flush=True)
    sys.stdin.read()
    system.thespian.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
