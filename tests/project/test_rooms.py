"""Somebody new finds the place: rooms of few modules, each with a sentence on what it is for, and files of one idea each."""

import ast
import re
from collections import Counter
from pathlib import Path

from tests.project.repository import CODE, PACKAGES, files, name, rooms, tree

MOST_MODULES = 15
MOST_LINES = 400
# Base names that Python or pytest gives, and the one module that tree files know by another path too.
SAME_NAME = {"__init__.py", "__main__.py", "conftest.py", "llm_agent.py"}
ONE_SENTENCE = re.compile(r"[^\n]*[^.!?\n]\.")


def modules(folder: Path) -> int:
    return sum(1 for path in folder.glob("*.py") if path.name != "__init__.py")


def is_one_sentence(docstring: str | None) -> bool:
    return docstring is not None and ONE_SENTENCE.fullmatch(docstring) is not None and ". " not in docstring


def test_no_room_holds_more_than_fifteen_modules() -> None:
    full = {name(folder): modules(folder) for folder in rooms(*PACKAGES, "tests") if modules(folder) > MOST_MODULES}
    assert {} == full


def test_every_room_says_in_one_sentence_what_it_is_for() -> None:
    docstrings = {
        name(folder): ast.get_docstring(tree(folder / "__init__.py")) if (folder / "__init__.py").is_file() else None
        for folder in rooms(*PACKAGES, "tests")
    }
    assert {} == {folder: docstring for folder, docstring in docstrings.items() if not is_one_sentence(docstring)}


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    lines = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files(".py", *CODE)}
    assert {} == {path: length for path, length in lines.items() if length > MOST_LINES}


def test_no_two_files_have_the_same_name() -> None:
    names = Counter(path.name for path in files(".py", *CODE))
    assert {} == {base: number for base, number in names.items() if number > 1 and base not in SAME_NAME}
