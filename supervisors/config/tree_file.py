"""Reads a tree file: TOML in, a `TreeSpec` or every fault of the file out."""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from suptree.actors.errors import ConfigError, SpecError

from ..decisions.limit_checks import never_exceeded
from ..spec.child_spec import AutoShutdown, ChildSpec
from ..spec.ids import RESERVED_IDS, ROOT, fault_of_id
from ..spec.tree_spec import SupervisorSpec, TreeSpec
from .agent_config import AgentTable
from .config_problems import Problem, Table, did_you_mean, kind_of, unknown_key
from .supervisor_config import RootTable, SupervisorTable
from .toml_lines import Keys, lines_of_keys

MAX_DEPTH = 50
"""Supervisors under each other. Every level is forked from the one above, 17 stack frames deeper: 50 levels start, 100 do not."""

TOP_TABLES = ("tree", "supervisors", "agents")


AnyTable = TypeVar("AnyTable", bound=Table)


class TreeTable(Table):
    """`[tree]`."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables of a file, each without its faulty keys."""

    name: str
    root: RootTable
    supervisors: Mapping[str, SupervisorTable]
    agents: Mapping[str, AgentTable]

    def parents(self) -> Iterator[tuple[str, str, str]]:
        """(table, id, id of its supervisor) of everything but the root."""
        for supervisor_id, supervisor in self.supervisors.items():
            yield "supervisors", supervisor_id, supervisor.supervisor
        for agent_id, agent in self.agents.items():
            yield "agents", agent_id, agent.supervisor


def load_tree(path: Path | str, environment: Mapping[str, str] | None = None) -> TreeSpec:
    """The tree that a file describes; relative paths in it start from its folder, `environment` (ours) is what agents inherit from.

    Raises:
        ConfigError: with every fault of the file, or because it cannot be read.
    """
    path = Path(path)
    try:
        # Reading a pipe would wait for somebody to write to it.
        if not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISDIR(mode)):
            raise ConfigError(str(path), [("file", "is not a regular file")])
        # Editors of another system put a byte order mark first, which TOML does not know.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(str(path), [("file", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [(f"line {line}", "is not UTF-8, as TOML must be")]) from error
    return parse_tree(text, str(path), path.parent, environment)


def parse_tree(text: str, source: str, base_dir: Path | str, environment: Mapping[str, str] | None = None) -> TreeSpec:
    """The tree that a text describes; `source` names it in errors, relative paths start from `base_dir`.

    Raises:
        ConfigError: with every fault of the text; each place is the path of keys, and the line in parentheses.
    """
    reader = _Reader(Path(base_dir).absolute())
    return _tree(reader, reader.read(_parse_toml(text, source), Path(source).stem), source, environment, lines_of_keys(text))


def tree_from_mapping(raw: Mapping[str, Any], name: str, base_dir: Path | str, environment: Mapping[str, str] | None = None) -> TreeSpec:
    """The tree that such tables describe: `tree`, `supervisors` and `agents`, each a dict. Supervisors start before agents beside them.

    Raises:
        ConfigError: with every fault; each place is the path of keys.
    """
    reader = _Reader(Path(base_dir).absolute())
    return _tree(reader, reader.read(raw, name), name, environment, {})


def _tree(reader: "_Reader", tables: "_Tables", source: str, environment: Mapping[str, str] | None, lines: Mapping[Keys, int]) -> TreeSpec:
    problems = reader.problems
    problems += _cross_problems(tables, {problem.path[:3] for problem in problems})
    if not problems:
        try:
            return _build(tables, lines, reader.folder, os.environ if environment is None else environment)
        except _Refused as refused:
            problems.append(refused.problem)
    raise ConfigError(source, _placed(problems, lines))


class _Refused(Exception):
    """A frozen spec refused what every check before it let through."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.what)


def _parse_toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or an integer of more digits than Python reads
        what, _, at = str(error).removesuffix(")").partition(" (at ")
        place = at if at.startswith("line ") else f"line {max(1, len(text.splitlines()))}"
        raise ConfigError(source, [(place, f"is not TOML: {what}")]) from error
    except RecursionError as error:
        raise ConfigError(source, [("file", "is nested too deeply")]) from error


class _Reader:
    """Reads the tables of a file one by one, and keeps what is wrong with them in `problems`."""

    def __init__(self, folder: Path) -> None:
        self.problems: list[Problem] = []
        self.folder = folder

    def read(self, raw: Mapping[str, Any], default_name: str) -> _Tables:
        """All tables; a tree without a name is named after its file."""
        self.problems += [Problem((key,), unknown_key(key, TOP_TABLES, "table")) for key in raw if key not in TOP_TABLES]
        name = self._table(TreeTable, self._dict(raw.get("tree", {}), "tree"), "tree").name
        if fault := fault_of_id(default_name if name is None else name):
            self.problems.append(Problem(("tree", "name"), "is missing" if name is None else fault))
        supervisors, agents = self._dicts(raw, "supervisors"), self._dicts(raw, "agents")
        return _Tables(
            name=default_name if name is None else name,
            root=self._table(RootTable, supervisors.pop(ROOT, {}), "supervisors", ROOT),
            supervisors={key: self._table(SupervisorTable, table, "supervisors", key) for key, table in supervisors.items()},
            agents={key: self._table(AgentTable, table, "agents", key) for key, table in agents.items()},
        )

    def _table(self, model: type[AnyTable], raw: Mapping[str, Any], *path: str) -> AnyTable:
        table, problems = model.read(raw, {"base_dir": self.folder})
        self.problems += [problem.below(*path) for problem in problems]
        return table

    def _dict(self, value: object, *path: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problems.append(Problem(path, f"must be a table, not {kind_of(value)}"))
        return {}

    def _dicts(self, raw: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
        entries = self._dict(raw.get(name, {}), name)
        self.problems += [
            Problem((name, key), f"must be a table, not {kind_of(value)}") for key, value in entries.items() if not isinstance(value, dict)
        ]
        return {key: value for key, value in entries.items() if isinstance(value, dict)}


def _cross_problems(tables: _Tables, refused: set[tuple[str | int, ...]]) -> Iterator[Problem]:
    """What is wrong between the tables; `refused` are the keys that are known to be wrong already."""
    known = {ROOT, *tables.supervisors}
    for table, own_id, supervisor in tables.parents():
        if fault := fault_of_id(own_id):
            yield Problem((table, own_id), fault)
        if own_id in RESERVED_IDS:
            yield Problem((table, own_id), f'the id "{own_id}" is reserved; choose another')
        if table == "agents" and own_id in tables.supervisors:
            yield Problem((table, own_id), f'the id "{own_id}" names a supervisor too; ids are unique in the whole tree')
        if supervisor not in known:
            is_agent = f'; "{supervisor}" is an agent' if supervisor in tables.agents else did_you_mean(supervisor, known)
            yield Problem((table, own_id, "supervisor"), f'there is no supervisor "{supervisor}"{is_agent}')
    yield from _cycles_and_depths(tables)
    yield from _misfits(tables, refused)


def _misfits(tables: _Tables, refused: set[tuple[str | int, ...]]) -> Iterator[Problem]:
    """What a child asks that the rules of its supervisor make impossible."""
    for table, own_id, supervisor in tables.parents():
        child = (tables.supervisors if table == "supervisors" else tables.agents)[own_id]
        above = tables.root if supervisor == ROOT else tables.supervisors.get(supervisor)
        if above is None or (table, own_id, "supervisor") in refused:
            continue
        if child.significant and above.auto_shutdown is AutoShutdown.NEVER and ("supervisors", supervisor, "auto_shutdown") not in refused:
            yield Problem(
                (table, own_id, "significant"),
                f'means nothing unless [supervisors.{supervisor}] sets auto_shutdown to "any_significant" or "all_significant"',
            )
    for supervisor, above in {ROOT: tables.root, **tables.supervisors}.items():
        yield from _limits(tables, supervisor, above, refused)


def _limits(tables: _Tables, supervisor: str, above: RootTable, refused: set[tuple[str | int, ...]]) -> Iterator[Problem]:
    """A limit of a supervisor that its children could never exceed; not judged where a key that it depends on was refused."""
    below = [(table, own_id) for table, own_id, parent in tables.parents() if parent == supervisor]
    keys = ("restart", "auto_restart", "max_restarts", "backoff", "supervisor")
    asked = {("supervisors", supervisor, key) for key in ("max_restarts", "within")} | {(*child, key) for child in below for key in keys}
    if not refused.isdisjoint(asked):
        return
    places: dict[str, tuple[str, str]] = {}
    specs = []
    for place in below:
        places["/".join(place)] = place
        if place[0] == "supervisors":
            specs.append(ChildSpec(id="/".join(place), restart=tables.supervisors[place[1]].restart))
        else:
            agent = tables.agents[place[1]]
            backoff = None if agent.backoff is None else agent.backoff.spec()
            specs.append(ChildSpec(id="/".join(place), restart=agent.restart_type, backoff=backoff, max_restarts=agent.max_restarts))
    if (never := never_exceeded(above.flags(), specs)) is not None:
        yield Problem((*places[never.id], "backoff"), never.why)


def _cycles_and_depths(tables: _Tables) -> Iterator[Problem]:
    above = {supervisor_id: supervisor.supervisor for supervisor_id, supervisor in tables.supervisors.items()}
    in_a_cycle: set[str] = set()
    for start, at in above.items():
        chain = {start: None}  # a dict, because it keeps the order and is quick to search
        while at in above and at not in chain:
            chain[at] = None
            at = above[at]  # noqa: PLW2901 (it climbs)
        if at == start and start not in in_a_cycle:
            in_a_cycle.update(chain)
            yield Problem(("supervisors", start, "supervisor"), f"goes round in a circle: {' -> '.join([*chain, start])}")
        elif at == ROOT and len(chain) == MAX_DEPTH + 1:
            yield Problem(("supervisors", start, "supervisor"), f"stands more than {MAX_DEPTH} supervisors deep, which cannot be started")


def _build(tables: _Tables, lines: Mapping[Keys, int], folder: Path, environment: Mapping[str, str]) -> TreeSpec:
    below: dict[str, list[tuple[str, str]]] = {}
    for table, own_id, above in sorted(tables.parents(), key=lambda entry: lines.get(entry[:2], 0)):
        below.setdefault(above, []).append((table, own_id))

    def supervisor(own_id: str, table: RootTable) -> SupervisorSpec:
        children = tuple(child(*entry) for entry in below.get(own_id, ()))
        return SupervisorSpec(id=own_id, flags=table.flags(), children=children)

    def child(table: str, own_id: str) -> ChildSpec:
        try:
            if table == "agents":
                return tables.agents[own_id].child(own_id, folder, environment)
            return tables.supervisors[own_id].child(supervisor(own_id, tables.supervisors[own_id]))
        except SpecError as error:
            raise _Refused(Problem((table, own_id), str(error))) from error

    try:
        return TreeSpec(name=tables.name, root=supervisor(ROOT, tables.root))
    except SpecError as error:
        raise _Refused(Problem(("tree",), str(error))) from error


def _placed(problems: list[Problem], lines: Mapping[Keys, int]) -> list[tuple[str, str]]:
    """Places with lines, in the order of the file."""

    def line(problem: Problem) -> int:
        path = tuple(key for key in problem.path if isinstance(key, str))
        return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 0)

    ordered = sorted(problems, key=line)
    return [(f"{problem.place} (line {line(problem)})" if line(problem) else problem.place, problem.what) for problem in ordered]
