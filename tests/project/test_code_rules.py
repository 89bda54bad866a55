"""Rules that a reader relies on, checked in the syntax tree of every module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.repository import CODE, PACKAGES, files, name, scopes, tree

FIXED_NAMES = {"getattr", "setattr", "delattr", "hasattr"}

# (module, function) where an attribute is looked up by a name that is no literal, and why.
MADE_NAMES = {
    ("actors/native/factory.py", "_find"): "the factory that an agent's table names, `package.module:attribute`",
    ("control/seal/sealed_transport.py", "check_hooks"): "the functions of Thespian that the seal takes hold of, listed above it",
}

# The same, until they are tables of functions.
MADE_NAMES_STILL: set[tuple[str, str]] = set()

# What holds text made for people, by the name of the variable, field or key; `text` alone is what a parser is given.
FOR_PEOPLE = {"detail", "reason", "why", "sentence", "summary", "last_error", "status_text"}
FIELDS_FOR_PEOPLE = FOR_PEOPLE | {"text"}
CUT = {"partition", "rpartition", "split", "rsplit", "removeprefix", "removesuffix"}
MEANING_FROM_TEXT = CUT | {"startswith", "endswith", "find", "index", "count"}
MATCHES = {"match", "fullmatch", "search", "findall", "finditer", "split"}

# (module, function) that reads text of such a name, and why that is no meaning read out of words for people.
TEXT_IS_DATA: dict[tuple[str, str], str] = {}


def modules(*folders: str) -> list[Path]:
    return [path for path in files(".py", *folders) if not name(path).startswith("tests/programs/")]


def is_made_name(node: ast.AST) -> bool:
    """Whether an attribute is looked up by anything but a literal."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FIXED_NAMES
        and len(node.args) > 1
        and not (isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str))
    )


def holds_words(node: ast.expr) -> bool:
    """Whether an expression is, by its name, text made for people."""
    match node:
        case ast.Name(id=named):
            return named in FOR_PEOPLE
        case ast.Attribute(attr=named) | ast.Subscript(slice=ast.Constant(value=str() as named)):
            return named in FIELDS_FOR_PEOPLE
        case ast.Call(func=ast.Attribute(value=value, attr="lower" | "upper" | "casefold" | "strip" | "lstrip" | "rstrip")):
            return holds_words(value)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str() as named), *_]):
            return named in FIELDS_FOR_PEOPLE
        case ast.BoolOp(values=values):
            return any(holds_words(value) for value in values)
    return False


def reads_meaning(node: ast.AST) -> bool:
    """Whether a decision is taken from the words of such a text."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in MEANING_FROM_TEXT and holds_words(value):
            return True
        case ast.Call(func=ast.Attribute(attr=method), args=arguments) if method in MATCHES:
            return any(holds_words(argument) for argument in arguments)
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]):
            return holds_words(right) and (isinstance(left, ast.JoinedStr) or (isinstance(left, ast.Constant) and left.value != "\0"))
    return False


def found(rule: object, *folders: str) -> set[tuple[str, str]]:
    """(module, function) of every node for which a rule says yes."""
    assert callable(rule)
    return {(name(path), scope) for path in modules(*folders) for scope, node in scopes(tree(path)) if rule(node)}


def test_no_attribute_is_looked_up_by_a_name_that_was_made() -> None:
    assert set(MADE_NAMES) == found(is_made_name, *PACKAGES) - MADE_NAMES_STILL


def test_nothing_reads_meaning_out_of_words_made_for_people() -> None:
    assert set(TEXT_IS_DATA) == found(reads_meaning, *PACKAGES)


def documented(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, ast.get_docstring(node) or ""


def test_no_method_is_a_hook_for_a_class_below() -> None:
    assert set() == {
        (name(path), named)
        for path in modules(*CODE)
        for named, text in documented(tree(path))
        if text.startswith(("A hook:", "A hook for"))
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("getattr(self, f'_{operation}')", True),
        ("getattr(self, '_' + operation)", True),
        ("setattr(self, which, 1)", True),
        ("getattr(agent, 'run', None)", False),
        ("table[operation](self)", False),
    ],
)
def test_a_made_name_is_seen(source: str, expected: bool) -> None:
    assert expected == any(is_made_name(node) for node in ast.walk(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("health.detail.startswith('suspect')", True),
        ("event['reason'].lower().startswith('no ping')", True),
        ("pattern.search(how['reason'])", True),
        ("'suspect' in detail", True),
        ("f'{x}:' in (reason or '')", True),
        ("event.get('detail', '').split(':')", True),
        ("detail in known", False),
        ("path.startswith('/')", False),
        ("'detail' in event", False),
    ],
)
def test_meaning_read_out_of_words_is_seen(source: str, expected: bool) -> None:
    assert expected == any(reads_meaning(node) for node in ast.walk(ast.parse(source)))
