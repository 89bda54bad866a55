"""The one way to dispatch: a table of functions by the type of what they take, whose entries the type checker compares."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from thespian.actors import ActorAddress

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

Handlers = dict[type, Callable[[Any, ActorAddress], None]]
"""What handles a message, by its type: called with the message and the address of its sender."""


def on(kind: type[T], function: Callable[Concatenate[T, P], R]) -> tuple[type, Callable[Concatenate[Any, P], R]]:
    """An entry of a table: `function` is called with what is of this very type. mypy refuses one that takes something else."""
    return kind, function
