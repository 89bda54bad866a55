"""What the pages name is there: files, tests, and the steps of the five journeys."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.project.repository import CODE, ROOT, files, name, tree

# The changelog names files as they were called in its time.
PAGES = [path for path in (*files(".md"), *files(".md", "docs")) if path.name != "CHANGELOG.md"]
FOLDERS = "|".join((*CODE, "docs")).replace(".", r"\.")
PATH = re.compile(rf"(?<![\w/.-])(?:\./)?((?:{FOLDERS})/(?:[\w./-]*\w)?)")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
MODULE = re.compile(r"python -m (tests[\w.]*|suptree\.[\w.]+|benchmarks[\w.]*)")
STEP = re.compile(r"^\d+\. `([^`]+)` `(\w+)`: ", re.MULTILINE)
TEST = re.compile(r"`((?:test|Test)\w+)`")

ids = [name(path) for path in PAGES]


def paths_in(text: str) -> set[str]:
    """Every path that begins with a folder of this repository."""
    return set(PATH.findall(text))


def module_paths(text: str) -> set[str]:
    return {found.removesuffix(".").removeprefix("suptree.").replace(".", "/") for found in MODULE.findall(text)}


@cache
def defined(path: Path) -> frozenset[str]:
    """Every function, class and variable of a module; a method as `Class.method` too."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    missing = {path for path in paths_in(text) if not (ROOT / path).exists()}
    missing |= {path for path in module_paths(text) if not ((ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file())}
    missing |= {link for link in LINK.findall(text) if "://" not in link and not (page.parent / link).exists()}
    assert set() == missing


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_test_that_a_page_names_is_there(page: Path) -> None:
    tests = frozenset().union(*(defined(path) for path in files(".py", "tests")))

    missing = {
        test for test in TEST.findall(page.read_text(encoding="utf-8")) if test not in tests and not (ROOT / "tests" / test).exists()
    }
    assert set() == missing


def test_a_path_that_is_gone_would_be_seen() -> None:
    assert {"actors/gone.py", "tests/no_more"} == paths_in("see `actors/gone.py`, `python tests/no_more` and `core.py`")


def journeys() -> dict[str, str]:
    """The journeys of the design, each with its text."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    section = page.partition("\n## Five journeys\n")[2].partition("\n## ")[0]
    return {text.partition("\n")[0]: text for text in section.split("\n### ")[1:]}


def test_there_are_five_journeys_and_each_goes_down_and_back() -> None:
    assert ["A crash", "A hang", "A command", "A reading", "An ending"] == list(journeys())
    assert {} == {title: text for title, text in journeys().items() if "Down, " not in text or "\nBack" not in text}


@pytest.mark.parametrize("journey", journeys().values(), ids=journeys())
def test_each_step_of_a_journey_is_a_function_of_the_file_that_it_names(journey: str) -> None:
    steps = STEP.findall(journey)

    lines = [line for line in journey.splitlines() if line[:1].isdigit()]
    assert len(lines) == len(steps) > 0
    assert [] == [f"{path} {function}" for path, function in steps if function not in defined(ROOT / path)]


def test_whatever_the_security_page_says_a_neighbour_cannot_do_has_a_test() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    table = text.partition("## What each neighbour can do")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines() if line.startswith("| ")][2:]
    denied = {what: cells for what, *cells in rows if any(re.match(r"no\b", cell) for cell in cells)}
    assert 12 < len(denied)
    assert set() == {what for what, cells in denied.items() if not any(paths_in(cell) for cell in cells)}
