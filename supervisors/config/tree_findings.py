"""What is wrong with a good tree file on this machine, found before anything starts: missing programs and factories, useless limits.

Nothing is executed or imported for it: modules are looked for as Python would, and their source is only read.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from suptree.actors.agent.confinement import CannotConfine, find_account
from suptree.actors.agent.environment import base_environment
from suptree.actors.kernel.trusted_folder import who_could_change
from suptree.actors.program.execution import CannotExecute, resolve
from suptree.actors.spec.agent_secrets import has_secrets
from suptree.actors.spec.agent_spec import AgentSpec
from suptree.actors.spec.env_file import EnvFileRefused, read_env_file

from ..decisions.limit_checks import gives_up_before_hold
from ..decisions.rules import has_rules_of_its_own
from ..spec.tree_spec import SupervisorSpec, TreeSpec
from .config_problems import Problem
from .toml_lines import lines_of_keys

_FAILURE = {0: "first", 1: "second"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where (`agents.coder.command (line 7)`), what, and whether the tree cannot start for it."""

    place: str
    what: str
    fatal: bool


def find_in_tree(tree: TreeSpec, file: Path, path: Sequence[str]) -> list[Finding]:
    """All findings, in the order of the tree; `path` is what `up` puts before the `sys.path` of native agents, `file` gives the lines."""
    try:
        lines = lines_of_keys(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        lines = {}
    found = []
    for keys, what, fatal in (*_missing(tree, path), *_useless_holds(tree), *_shared_secrets(tree), *_within_reach(tree, file, path)):
        known = next((lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in lines), 0)
        place = Problem(keys, what).place
        found.append(Finding(f"{place} (line {known})" if known else place, what, fatal))
    return found


def _within_reach(tree: TreeSpec, file: Path, path: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Who can change the tree file, or put a module before those that native agents import, has us run what is there."""
    if why := who_could_change(file):
        yield ("tree",), f"what this file names runs as you, and others could change it: {why}", False
    native = next(
        (child.id for _, child in tree.root.walk() if isinstance(child.start, AgentSpec) and child.start.factory is not None), None
    )
    for folder in path if native is not None else ():
        if why := who_could_change(Path(folder)):
            what = f"native agents import from {folder} before anything else, and others could put a module there: {why}"
            yield ("agents", str(native), "factory"), what, False


def _missing(tree: TreeSpec, path: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    for _, child in tree.root.walk():
        agent = child.start
        if isinstance(agent, AgentSpec):
            if agent.command is None:
                if what := _fault_of_factory(agent, path):
                    yield ("agents", child.id, "factory"), what, not has_rules_of_its_own(child)
                continue
            for keys, what in _missing_commands(agent):
                yield ("agents", child.id, *keys), what, keys == ("command",) and not has_rules_of_its_own(child)


def _useless_holds(tree: TreeSpec) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    supervisors = [tree.root, *(child.start for _, child in tree.root.walk() if isinstance(child.start, SupervisorSpec))]
    for supervisor in supervisors:
        held = [child.id for child in supervisor.children if gives_up_before_hold(supervisor.flags, child)]
        if held:
            most = supervisor.flags.max_restarts
            yield (
                ("supervisors", supervisor.id, "max_restarts"),
                f"is {most}: the supervisor gives up at the {_FAILURE[most]} failure in a row, and `hold` of {', '.join(held)} waits for"
                " the third; set it to 2 or more, or give each agent with `hold` a max_restarts of its own",
                False,
            )


def _shared_secrets(tree: TreeSpec) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Agents that run as the same other user, and have secrets: the kernel lets each read the environment and the memory of the others."""
    by_user: dict[str, list[str]] = {}
    for _, child in tree.root.walk():
        agent = child.start
        if isinstance(agent, AgentSpec) and agent.user is not None and has_secrets(agent):
            by_user.setdefault(find_account(agent.user).name, []).append(child.id)
    for user, agents in by_user.items():
        for agent_id in agents[1:]:
            yield (
                ("agents", agent_id, "user"),
                f"is {user}, as for {agents[0]}: each of them can read the secrets of the other; give each a user of its own",
                False,
            )


def _missing_commands(agent: AgentSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """Why its program, and what runs beside it, could not be executed as they are now, in the environment that the agent would get."""
    assert agent.command is not None  # noqa: S101  (who calls has looked)
    try:
        account = None if agent.user is None else find_account(agent.user)
        from_file = {} if agent.env_from is None else read_env_file(agent.env_from)
    except (CannotConfine, EnvFileRefused) as refused:
        yield ("command",), str(refused)
        return
    environment = {**base_environment(account), **agent.inherited, **from_file, **agent.env}
    commands: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (("command",), (agent.command,)),
        (("hooks", "pre_stop"), agent.hooks.pre_stop),
        (("hooks", "post_exit"), agent.hooks.post_exit),
        (("liveness_probe", "exec"), agent.liveness_probe.exec),
    ]
    for keys, argv in commands:
        try:
            if argv:
                resolve(argv[0], agent.cwd, environment.get("PATH"))
        except CannotExecute as refused:
            yield keys, str(refused)


def _fault_of_factory(agent: AgentSpec, path: Sequence[str]) -> str | None:
    """Why the factory could not be found: a module that is not there, or one whose source binds no such name anywhere."""
    assert agent.factory is not None  # noqa: S101  (the spec refuses to be built without)
    module, _, attribute = agent.factory.partition(":")
    name = attribute.partition(".")[0]
    spec: ModuleSpec | None = None
    reached = ""
    for part in module.split("."):
        if reached and (spec is None or spec.submodule_search_locations is None):
            return f"there is no module {f'{reached}.{part}'!r}: {reached!r} is not a package"
        reached = f"{reached}.{part}" if reached else part
        if reached in sys.builtin_module_names:
            return None
        spec = _find_module(reached, path, spec)
        if spec is None:
            return f"there is no module {reached!r} on the path (PYTHONPATH, the folder of the tree file, what is installed)"
    assert spec is not None  # noqa: S101  (a reference names a module)
    if spec.submodule_search_locations is not None and _find_module(f"{reached}.{name}", path, spec) is not None:
        return None
    return _fault_of_source(spec, module, name)


def _find_module(name: str, path: Sequence[str], parent: ModuleSpec | None) -> ModuleSpec | None:
    if parent is not None and parent.submodule_search_locations is not None:
        search = list(parent.submodule_search_locations)
        if (found := PathFinder.find_spec(name, search)) is not None:
            return found
    else:
        search = None
        # Nothing is imported from the folder that a tree is started in, unless it is on the path.
        ours = [entry for entry in sys.path if entry and Path(entry) != Path.cwd()]
        if (found := PathFinder.find_spec(name, [*path, *ours])) is not None:
            return found
    # Editable installs have finders of their own.
    others = (finder for finder in sys.meta_path if finder is not PathFinder)
    return next((found for finder in others if (found := finder.find_spec(name, search)) is not None), None)


def _fault_of_source(spec: ModuleSpec, module: str, name: str) -> str | None:
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except OSError as error:
        return f"module {module!r} cannot be read: {error.strerror}"
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"module {module!r} is not Python ({spec.origin}{line})"
    bound = {name for node in ast.walk(tree) for name in _names(node)}
    return None if bound & {name, "*", "__getattr__"} else f"module {module!r} has no {name!r}"


def _names(node: ast.AST) -> Iterator[str]:
    """What a piece of syntax binds, at whatever depth: a name that is bound nowhere at all cannot be found."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.alias():
            yield node.asname or node.name.partition(".")[0]
