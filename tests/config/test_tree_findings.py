"""What a good tree file lacks on this machine is found before anything starts."""

from pathlib import Path
from textwrap import dedent

import pytest

from suptree.supervisors.config.tree_file import load_tree
from suptree.supervisors.config.tree_findings import Finding, find_in_tree

from .parsing import Refuse

PROGRAM = 'type = "process_wrapper"'
NATIVE = 'type = "native_llm"'


def found(folder: Path, text: str, path: list[str] | None = None) -> list[Finding]:
    file = folder / "fleet.toml"
    file.write_text(dedent(text))
    return find_in_tree(load_tree(file), file, [str(folder)] if path is None else path)


def factory(folder: Path, name: str) -> list[str]:
    return [finding.what for finding in found(folder, f'[agents.a]\n{NATIVE}\nfactory = "{name}"')]


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        ('env = { API_KEY = "1" }', 'env = { B_TOKEN = "2" }', True),
        ('args = ["--api-key", "abc12345"]', 'env = { DB = "postgres://u:secret1@h" }', True),
        ('env = { API_KEY = "1" }', 'env = { LANG = "C" }', False),
        ('env = { API_KEY = "1" }', 'env = { B_TOKEN = "2" }\nuser = "daemon"', False),
    ],
)
def test_agents_of_one_user_that_could_read_each_others_secrets_are_found(tmp_path: Path, first: str, second: str, warned: bool) -> None:
    second = second if "user" in second else f'{second}\nuser = "nobody"'
    text = f'[agents.a]\n{PROGRAM}\ncommand = "sh"\nuser = "nobody"\n{first}\n[agents.b]\n{PROGRAM}\ncommand = "sh"\n{second}\n'
    what = "is nobody, as for a: each of them can read the secrets of the other; give each a user of its own"
    assert ([Finding("agents.b.user (line 10)", what, fatal=False)] if warned else []) == found(tmp_path, text)


def test_all_missing_programs_are_found_together_and_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("no program")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mine").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "mine").chmod(0o755)
    text = f"""\
        [agents.a]
        {PROGRAM}
        command = "no-such-program"
        [agents.good]
        {PROGRAM}
        command = "sh"
        [agents.plain]
        {PROGRAM}
        command = "./plain.txt"
        [agents.own-path]
        {PROGRAM}
        command = "sh"
        env = {{ PATH = "{tmp_path}/bin" }}
        [agents.mine]
        {PROGRAM}
        command = "mine"
        env = {{ PATH = "{tmp_path}/bin" }}
    """
    assert [
        Finding("agents.a.command (line 3)", "command not found: 'no-such-program' is in no folder of PATH", fatal=True),
        Finding("agents.plain.command (line 9)", f"command is not executable: '{tmp_path}/plain.txt' (chmod +x it?)", fatal=True),
        Finding("agents.own-path.command (line 12)", "command not found: 'sh' is in no folder of PATH", fatal=True),
    ] == found(tmp_path, text)


def test_one_that_cannot_be_looked_at_hides_none_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    text = "".join(f'[agents.{name}]\n{PROGRAM}\ncommand = "./{name}"\n' for name in ("loop", "gone", "n" * 60))
    assert [
        ("agents.loop.command (line 3)", f"command not found: '{tmp_path}/loop': Too many levels of symbolic links"),
        ("agents.gone.command (line 6)", f"command not found: there is no file '{tmp_path}/gone'"),
        (f"agents.{'n' * 60}.command (line 9)", f"command not found: there is no file '{tmp_path}/{'n' * 60}'"),
    ] == [(finding.place, finding.what) for finding in found(tmp_path, text)]


def test_what_runs_beside_a_program_is_looked_for_too_and_keeps_no_tree_from_starting(tmp_path: Path) -> None:
    text = f"""        [agents.a]
        {PROGRAM}
        command = "sh"
        hooks = {{ pre_stop = ["/no/such/hook"], post_exit = ["true"] }}
        liveness_probe = {{ exec = ["no-such-probe", "--all"] }}
    """
    assert [
        Finding("agents.a.hooks.pre_stop (line 4)", "command not found: there is no file '/no/such/hook'", fatal=False),
        Finding("agents.a.liveness_probe.exec (line 5)", "command not found: 'no-such-probe' is in no folder of PATH", fatal=False),
    ] == found(tmp_path, text)


@pytest.mark.parametrize("policy", ["hold = true", "park = true", "max_restarts = 2"])
def test_a_missing_program_of_an_agent_that_may_fail_alone_keeps_no_tree_from_starting(tmp_path: Path, policy: str) -> None:
    text = f'[supervisors.root]\nmax_restarts = 5\n[agents.a]\n{PROGRAM}\ncommand = "no-such-program"\n{policy}'
    assert [("agents.a.command (line 5)", False)] == [(finding.place, finding.fatal) for finding in found(tmp_path, text)]


def test_a_missing_factory_is_found_without_importing_anything(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')\nclass Agent: pass\nfrom os import path as way\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "pack" / "inner.py").write_text("if True:\n    make = print\n")
    (tmp_path / "late.py").write_text("def __getattr__(name): ...")
    (tmp_path / "all.py").write_text("from pack import *")
    (tmp_path / "bad.py").write_text("class :\n")
    nowhere = "on the path (PYTHONPATH, the folder of the tree file, what is installed)"
    good = ["mine:Agent", "mine:way", "mine:Agent.create", "pack.inner:make", "pack:inner", "late:any", "all:any", "sys:exit", "json:loads"]
    assert {name: [] for name in good} == {name: factory(tmp_path, name) for name in good}
    assert ["module 'mine' has no 'Agnet'"] == factory(tmp_path, "mine:Agnet")
    assert ["module 'json' has no 'load_all'"] == factory(tmp_path, "json:load_all")
    assert [f"there is no module 'nine' {nowhere}"] == factory(tmp_path, "nine:Agent")
    assert [f"there is no module 'pack.outer' {nowhere}"] == factory(tmp_path, "pack.outer:make")
    assert ["there is no module 'mine.inner': 'mine' is not a package"] == factory(tmp_path, "mine.inner:make")
    assert [f"module 'bad' is not Python ({tmp_path}/bad.py, line 1)"] == factory(tmp_path, "bad:Agent")


def test_a_factory_is_looked_for_where_up_would_and_not_in_the_folder_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "stray.py").write_text("class Agent: pass")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    text = f'[agents.a]\n{NATIVE}\nfactory = "stray:Agent"'
    assert 1 == len(found(tmp_path, text))
    assert [] == found(tmp_path, text, [str(tmp_path / "here")])


def test_the_factories_that_we_ship_are_found(tmp_path: Path) -> None:
    assert [] == factory(tmp_path, "suptree.actors.llm_agent:LLMAgent")


def test_a_hold_that_its_supervisor_does_not_live_to_see_is_found_with_what_to_write(tmp_path: Path) -> None:
    agents = "".join(f'[agents.{name}]\n{PROGRAM}\ncommand = "sh"\nsupervisor = "s"\nhold = true\n' for name in "ab")
    what = "and `hold` of a, b waits for the third; set it to 2 or more, or give each agent with `hold` a max_restarts of its own"
    place = "supervisors.s.max_restarts"
    gives_up = "the supervisor gives up at the"
    assert [Finding(f"{place} (line 1)", f"is 1: {gives_up} second failure in a row, {what}", fatal=False)] == found(
        tmp_path, "[supervisors.s]\n" + agents
    )
    assert [Finding(f"{place} (line 2)", f"is 0: {gives_up} first failure in a row, {what}", fatal=False)] == found(
        tmp_path, "[supervisors.s]\nmax_restarts = 0\n" + agents
    )
    for good in ("max_restarts = 2\n", 'on_limit = "quarantine"\n'):
        assert [] == found(tmp_path, "[supervisors.s]\n" + good + agents)


@pytest.mark.parametrize(
    ("heartbeat", "fault"),
    [
        ("interval = 5, suspect_after = 5", "interval=5.0, suspect_after=5.0, dead_after=20.0"),
        ("interval = 6, suspect_after = 5", "interval=6.0, suspect_after=5.0, dead_after=24.0"),
        ("interval = 30, dead_after = 30", "interval=30.0, suspect_after=30.0, dead_after=30.0"),
    ],
)
def test_a_heartbeat_that_is_suspect_before_its_next_ping_is_refused(refuse: Refuse, heartbeat: str, fault: str) -> None:
    rule = "0 < interval < suspect_after <= dead_after must hold (a ping that is due is no silence), not"
    assert [("agents.a.heartbeat (line 4)", f"{rule} {fault}")] == refuse(
        f'[agents.a]\n{PROGRAM}\ncommand = "sh"\nheartbeat = {{ {heartbeat} }}'
    )


def test_a_byte_order_mark_before_a_tree_file_means_nothing(tmp_path: Path) -> None:
    text = f'[agents.a]\n{PROGRAM}\ncommand = "no-such-program"\n'
    (without,) = found(tmp_path, text)
    assert [without] == found(tmp_path, "\ufeff" + text)
    assert "agents.a.command (line 3)" == without.place


@pytest.mark.parametrize(
    ("line", "place", "given"),
    [
        ("heartbeat = { interval = 1e-300 }", "agents.a.heartbeat (line 4)", "interval must be at least 0.01 seconds, not 1e-300"),
        ("checkpoint_interval = 0.001", "agents.a (line 1)", "a: checkpoint_interval must be at least 0.01 seconds, not 0.001"),
    ],
)
def test_an_interval_that_leaves_no_time_for_anything_else_is_refused(refuse: Refuse, line: str, place: str, given: str) -> None:
    assert [(place, given)] == refuse(f'[agents.a]\ntype = "native_llm"\nfactory = "m:f"\n{line}')
