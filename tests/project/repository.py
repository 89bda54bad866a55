"""The files of this repository, for the checks that read them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "supervisors", "control", "scripts", "testing")
CODE = (*PACKAGES, "tests", "benchmarks", "examples", ".ci")

# Folders of code that agents run, as their own programs: no rooms of ours.
FOREIGN = ("tests/programs", "tests/agents", "tests/access/agents", "tests/llm/without_any_llm")


def name(path: Path) -> str:
    """A path from the root of the repository, with `/`."""
    return path.relative_to(ROOT).as_posix()


@cache
def files(suffix: str, *folders: str) -> tuple[Path, ...]:
    """Every file of that suffix below these folders, in order; from the root itself where none is given."""
    if not folders:
        return tuple(sorted(ROOT.glob(f"*{suffix}")))
    found = (path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}"))
    return tuple(sorted(path for path in found if "__pycache__" not in path.parts))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def rooms(*folders: str) -> list[Path]:
    """Every folder below these that holds Python, in order; not those of foreign code."""
    found = sorted({path.parent for path in files(".py", *folders)})
    return [folder for folder in found if name(folder) not in FOREIGN]


def scopes(module: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node with the name of the function that it stands in (`""`: in none)."""
    waiting: list[tuple[str, ast.AST]] = [("", module)]
    while waiting:
        scope, node = waiting.pop()
        yield scope, node
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else scope
        waiting += [(inner, child) for child in ast.iter_child_nodes(node)]
