"""Rules that the tests keep, checked in the syntax tree of every test module."""

import ast
import re
from pathlib import Path

import pytest

from tests.project.repository import FOREIGN, files, name, scopes, tree

# Less than this many seconds of a wall clock say what the machine did, and not what we did.
SHORTEST = 0.1

# (module, function) that compares with a number so small, and why that is no time of a wall clock.
NO_TIMES: dict[tuple[str, str], str] = {}

# What stands in the name of a function that looks and sleeps in turn, or in its docstring.
POLLS = re.compile(r"poll", re.IGNORECASE)

# (module, function) with a loop that sleeps, and what the loop is instead.
NO_POLLING = {
    ("tests/embedded/loop_gaps.py", "tick"): "it measures how late the loop is",
    ("tests/heartbeat/test_stamp_watch.py", "run"): "it stamps, as what it tests does",
}


def modules() -> list[Path]:
    return [path for path in files(".py", "tests") if not name(path).startswith("tests/programs/")]


def is_constant(node: ast.expr) -> bool:
    """Whether an expression is a literal, a constant by its name, or made of these alone."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=named) | ast.Attribute(attr=named):
            return named.isupper() or named == "expected"
        case ast.UnaryOp(operand=operand):
            return is_constant(operand)
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return all(is_constant(element) for element in elements)
        case ast.Dict(keys=keys, values=values):
            return all(key is not None and is_constant(key) for key in keys) and all(is_constant(value) for value in values)
    return False


def is_backwards(node: ast.AST) -> bool:
    """Whether an assertion says `actual == expected`."""
    match node:
        case ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right])):
            return is_constant(right) and not is_constant(left)
    return False


def is_hasty(node: ast.AST) -> bool:
    """Whether an assertion says that something is below some milliseconds."""
    if not isinstance(node, ast.Assert):
        return False
    bounds = [
        bound.value
        for part in ast.walk(node.test)
        if isinstance(part, ast.Compare)
        for operator, bound in zip(part.ops, part.comparators, strict=True)
        if isinstance(operator, ast.Lt | ast.LtE) and isinstance(bound, ast.Constant)
    ]
    return any(isinstance(bound, float) and 0 < bound < SHORTEST for bound in bounds)


def is_sleep(node: ast.AST) -> bool:
    """Whether a call sleeps for some time; `sleep(0)` lets others run."""
    match node:
        case ast.Call(func=ast.Attribute(attr="sleep"), args=[argument]):
            return not (isinstance(argument, ast.Constant) and argument.value == 0)
    return False


def is_polling(node: ast.AST) -> bool:
    """Whether a loop looks and sleeps in turn."""
    return isinstance(node, ast.While) and any(is_sleep(part) for part in ast.walk(node))


def says_that_it_polls(module: ast.Module, function: str) -> bool:
    return any(
        POLLS.search(f"{node.name} {ast.get_docstring(node)}") is not None
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    )


def test_the_expected_value_stands_first() -> None:
    assertions = [(path, node) for path in modules() for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    assert [] == [f"{name(path)}:{node.lineno}" for path, node in assertions if is_backwards(node)]


def test_nothing_is_asserted_of_less_than_a_tenth_of_a_second() -> None:
    assert set(NO_TIMES) == {(name(path), scope) for path in modules() for scope, node in scopes(tree(path)) if is_hasty(node)}


def test_what_polls_says_that_it_polls() -> None:
    ours = [path for path in modules() if not name(path).startswith(FOREIGN)]
    polling = {(path, scope) for path in ours for scope, node in scopes(tree(path)) if is_polling(node)}
    assert set(NO_POLLING) == {(name(path), scope) for path, scope in polling if not says_that_it_polls(tree(path), scope)}


def test_every_folder_that_a_test_makes_is_one_of_pytest() -> None:
    assert [] == [name(path) for path in modules() if "mkdtemp(" in path.read_text(encoding="utf-8") and path != Path(__file__)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("assert found == 3", True),
        ("assert found == [1, -2]", True),
        ("assert run() == {'a': None}", True),
        ("assert found == Phase.RUNNING", True),
        ("assert found == [expected, 1]", True),
        ("assert DEATH == found", False),
        ("assert 3 == found", False),
        ("assert [] == found", False),
        ("assert expected == found", False),
    ],
)
def test_an_assertion_the_wrong_way_round_is_seen(source: str, expected: bool) -> None:
    assert expected == is_backwards(ast.parse(source).body[0])


@pytest.mark.parametrize(
    ("source", "expected"), [("assert took < 0.05", True), ("assert 0 < took <= 0.09", True), ("assert took < 0.5", False)]
)
def test_a_hasty_assertion_is_seen(source: str, expected: bool) -> None:
    assert expected == is_hasty(ast.parse(source).body[0])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("while not done():\n    time.sleep(0.01)", True),
        ("while True:\n    if done():\n        break\n    await asyncio.sleep(EVERY)", True),
        ("while not done():\n    await asyncio.sleep(0)", False),
        ("while not done():\n    work()", False),
    ],
)
def test_a_loop_that_polls_is_seen(source: str, expected: bool) -> None:
    assert expected == is_polling(ast.parse(source, type_comments=True).body[0])
