"""Every public name says what it gives, in which units, and what it raises."""

import ast
import builtins
import inspect
import re
import subprocess
import textwrap
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest

import suptree.actors
import suptree.control
import suptree.testing
from suptree.actors import errors
from suptree.control import BlockingProcessManager, NativeAgent, ProcessAgent, ProcessManager
from suptree.control.embedded.settings import AgentKeys, NativeKeys, ProgramKeys, SupervisorKeys

SEE = re.compile(r"See `(\w+)\.(\w+)`")
CAP_WORD = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b")


def classes() -> dict[str, type]:
    """The public classes of the packages by name."""
    return {name: thing for name, thing in exported().items() if inspect.isclass(thing)}


def exported() -> dict[str, Any]:
    packages = (suptree.actors, suptree.control, suptree.testing)
    return {name: getattr(package, name) for package in packages for name in package.__all__}


def functions_of(owner: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class of ours has, also of its bases, each as the function behind it."""
    for base in owner.__mro__:
        if base.__module__.startswith("suptree."):
            for name, member in vars(base).items():
                function = member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
                if inspect.isfunction(function) and (not name.startswith("_") or is_own_beginning(base, name)):
                    yield f"{owner.__name__}.{name}", function


def is_own_beginning(owner: type, name: str) -> bool:
    """Whether that is an `__init__` which its class does not describe already: one that a program calls, with arguments."""
    return name == "__init__" and owner in (ProcessManager, ProcessAgent, NativeAgent)


def public() -> dict[str, Any]:
    """Every public function, class, method and property, by the name that a reader looks it up by."""
    methods = (function for owner in classes().values() for function in functions_of(owner))
    return {**exported(), **dict(methods)}


def docstring(name: str) -> str:
    """What is said of a name; where that refers to another name, what is said there too."""
    text = public()[name].__doc__ or ""
    seen = SEE.match(text)
    return f"{text} {docstring(f'{seen[1]}.{seen[2]}')}" if seen else text


PUBLIC = sorted(public())
FUNCTIONS = [name for name, thing in sorted(public().items()) if inspect.isfunction(thing)]


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_has_a_docstring_of_sentences(name: str) -> None:
    first = (public()[name].__doc__ or "").partition("\n")[0]
    assert re.fullmatch(r"[A-Z`].*[.:]", first), f"{name}: {first!r}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_takes_or_gives_a_time_says_seconds(name: str) -> None:
    hints = get_type_hints(public()[name], localns={"LLMAgent": object})
    floats = [key for key, hint in hints.items() if hint in (float, float | None)]
    assert not floats or "second" in docstring(name).lower(), f"{name}: {floats}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_names_each_error_that_it_raises_itself(name: str) -> None:
    body = ast.parse(textwrap.dedent(inspect.getsource(public()[name])))
    raised = {
        node.exc.func.id
        for node in ast.walk(body)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
    }
    assert set() == {error for error in raised if error not in docstring(name)}


@pytest.mark.parametrize("name", PUBLIC)
def test_each_error_that_a_docstring_names_is_one(name: str) -> None:
    known = {*vars(errors), *vars(builtins), *vars(subprocess), *exported()}
    for sentence in re.split(r"\.\s|\.$", docstring(name)):
        if re.search(r"\braises\b", sentence, re.IGNORECASE):
            assert set() == set(CAP_WORD.findall(sentence)) - known


def test_the_summary_of_the_process_manager_names_every_method_once() -> None:
    summary = inspect.getdoc(ProcessManager) or ""
    names = [name.partition(".")[2] for name, _ in functions_of(ProcessManager)]
    listed = [word for line in summary.splitlines() if re.match(r"[a-z, ]+: `", line) for word in re.findall(r"`(\w+)`", line)]
    assert sorted(set(names) - {"__init__"}) == sorted(listed)


def test_the_keys_of_agents_and_supervisors_are_all_named() -> None:
    """An editor shows `**keys` as they are typed; `help` shows the docstring alone."""
    programs, natives = ProcessAgent.__doc__ or "", NativeAgent.__doc__ or ""
    assert set() == {key for key in ProgramKeys.__annotations__ if f"`{key}`" not in programs}
    excluded = {key for key in ProgramKeys.__annotations__ if key not in NativeKeys.__annotations__}
    own = {key for key in NativeKeys.__annotations__ if key not in ProgramKeys.__annotations__}
    assert set() == {key for key in excluded | own | {"config"} if f"`{key}`" not in natives}
    assert excluded | own < set(AgentKeys.__annotations__)
    assert set() == {key for key in SupervisorKeys.__annotations__ if f"`{key}" not in docstring("ProcessManager.start_supervisor")}


def test_the_blocking_manager_refers_to_the_other_one() -> None:
    refers = {name for name, function in functions_of(BlockingProcessManager) if SEE.match(function.__doc__ or "")}
    assert {f"BlockingProcessManager.{name}" for name in vars(ProcessManager) if not name.startswith("_")} - {
        "BlockingProcessManager.abandon",
    } < refers
