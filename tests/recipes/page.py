"""The files that `docs/embedding.md` holds: a block of code is one file, whose name is the comment in its first line."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
_BLOCK = re.compile(r"^```(?:python|toml)\n# (?P<name>[\w./]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def recipes() -> dict[str, str]:
    """The text of each file of the page by name, in the order of the page."""
    return {found["name"]: found["text"] for found in _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}


def write(folder: Path, *names: str) -> None:
    """Write these files of the page below a folder."""
    texts = recipes()
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[name], encoding="utf-8")
