"""The environment of the program that starts a launcher, on its way there: an agent's `env_inherit` may name any of it.

It is not in the launcher's own environment, which every actor would have, and which stays readable in /proc for as long as they live.
"""

import json
import os
from collections.abc import Mapping

from .launch_spec import in_utf8


def hand_over(environment: Mapping[str, str]) -> int:
    """A descriptor for the launcher's stdin; what it holds is in memory alone."""
    descriptor = os.memfd_create("suptree-environment")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(json.dumps({in_utf8(name): in_utf8(value) for name, value in environment.items()}).encode())
    return descriptor


class HandedOver:
    """The launcher's end: takes it from stdin immediately, and reads it when no other process is forked any more that would keep it."""

    def __init__(self) -> None:
        self._descriptor = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def take(self) -> dict[str, str]:
        """The environment, this once; it is gone for those that have inherited the descriptor, too."""
        with open(self._descriptor, "r+b", buffering=0) as file:  # noqa: PTH123  (a descriptor)
            file.seek(0)
            found: dict[str, str] = json.loads(file.read())
            file.truncate(0)
        return found
