"""`Explanation`: why an agent died, as an object and as text."""

from typing import Any

from suptree.actors.deaths.explanation import screen


class Explanation(dict[str, Any]):
    """`now` (`status`, `text`, `do`) and `deaths`, newest first, as the control API gives them; `str()` is one screen of text."""

    def __str__(self) -> str:
        return "\n".join(screen(self))
