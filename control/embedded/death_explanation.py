"""`Explanation`: why an agent died, as an object and as text."""

from typing import Any

from suptree.actors.deaths.explanation import screen


class Explanation(dict[str, Any]):
    """`now` (`status`, `text`, `do`), `deaths`, newest first, and `missing`, as the control API gives them; `str()` is one screen of text.

    `missing` is the last death (`incarnation`, `runs`, `at`, `exit`) where its post-mortem could not be written or read, else None.
    """

    def __str__(self) -> str:
        return "\n".join(screen(self))
