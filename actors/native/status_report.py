"""What a native agent says of itself through `update_heartbeat(status)`, passed on as a program's `STATUS=` is."""

import json
from collections.abc import Callable, Coroutine, Generator
from enum import Enum
from typing import Any, NoReturn


def report_statuses(agent: Any, say: Callable[[str], None]) -> None:
    """From now on whatever the agent's `update_heartbeat` is called with is said too; one that has none gets one.

    Raises TypeError when the agent lets nothing be put on it: it is then as it was.
    """
    own = getattr(agent, "update_heartbeat", None)

    def update_heartbeat(status: Any = "", *args: Any, **kwargs: Any) -> Any:
        say(as_text(status))
        return _Nothing() if own is None else own(status, *args, **kwargs)

    # An error in it is the agent's.
    update_heartbeat.__module__ = type(agent).__module__
    try:
        agent.update_heartbeat = update_heartbeat
    except (AttributeError, TypeError):
        # An object with slots: the process is its own, so its class may be changed.
        def of_class(_self: Any, *args: Any, **kwargs: Any) -> Any:
            return update_heartbeat(*args, **kwargs)

        type.__setattr__(type(agent), "update_heartbeat", of_class)


class _Nothing(Coroutine[Any, Any, None]):
    """A coroutine that does nothing, and need not be awaited: nobody is warned of it."""

    def send(self, _value: Any) -> NoReturn:
        raise StopIteration

    def throw(self, *error: Any) -> NoReturn:
        raise error[0]

    def close(self) -> None:
        pass

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


def as_text(status: Any) -> str:
    """A status as one line of text, whatever it is."""
    if isinstance(status, Enum):
        status = status.value
    if not isinstance(status, str):
        try:
            status = json.dumps(status, ensure_ascii=False, default=str)
        except Exception:  # noqa: BLE001  (it runs the code of whatever it is)
            status = f"a {type(status).__name__}"
    return " ".join("".join(character if character.isprintable() else " " for character in status).split())
