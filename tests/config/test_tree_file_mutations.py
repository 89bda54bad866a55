import tomllib
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from suptree.actors.errors import ConfigError
from suptree.supervisors.config.toml_lines import lines_of_keys
from suptree.supervisors.config.tree_file import parse_tree
from suptree.supervisors.spec.tree_spec import TreeSpec

GOOD = """\
[tree]
name = "newsroom"

[supervisors.root]
within = 60
auto_shutdown = "any_significant"

[supervisors.writers]
strategy = "rest_for_one"
max_restarts = 3
shutdown = "infinity"

[supervisors.inner]
supervisor = "writers"
restart = "transient"
on_limit = "quarantine"

[agents.planner]
type = "native_llm"
supervisor = "inner"
factory = "newsroom.agents:Planner"
config = { temperature = 0.2, words = [ "a", "b" ] }

[agents.coder]
type = "process_wrapper"
command = "/bin/sh"
args = ['''
-c
''', "[agents.none]"]
cwd = "."
env = { LANG = "C.UTF-8" }
restart = "transient"
significant = true
max_restarts = 5
backoff = { base = 1.0, cap = 60 }
park = true
quota_group = "q"
ready = "notify"
heartbeat = { dead_after = 30 }
stop = { sigint = 5, sigterm = 10 }
limits = { memory_max = "2G" }
"""

LINES = GOOD.splitlines()
VALUES = [
    "5",
    "-1",
    "0",
    "1e400",
    "nan",
    "inf",
    "true",
    '""',
    '"root"',
    '"writers"',
    "[]",
    "{}",
    "[{}]",
    "{ a = 1 }",
    "1979-05-27",
    '"\\u0000"',
]
VALUES += ["'" + "x" * 5000 + "'", "9" * 400, "9" * 5000]

line_numbers = st.integers(0, len(LINES) - 1)


@st.composite
def mutated_lines(draw: st.DrawFn) -> str:
    """The good file with a few lines gone, doubled, moved or given another value."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at, other = draw(line_numbers) % len(lines), draw(line_numbers) % len(lines)
        match draw(st.sampled_from(["drop", "double", "swap", "value", "key"])):
            case "drop":
                del lines[at]
            case "double":
                lines.insert(other, lines[at])
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case "value":
                lines[at] = f"{lines[at].partition('=')[0]}= {draw(st.sampled_from(VALUES))}"
            case "key":
                key = draw(st.text('abcdefr_."[] ', min_size=1, max_size=8))
                lines[at] = f"{key} ={lines[at].partition('=')[2]}"
    return "\n".join(lines)


@st.composite
def mutated_characters(draw: st.DrawFn) -> str:
    """The good file with a few characters replaced by others."""
    text = GOOD
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 5)) :]
    return text


def check(text: str) -> None:
    try:
        tree = parse_tree(text, "fleet.toml", Path("/"))
    except ConfigError as error:
        assert error.problems
        assert all(place and what for place, what in error.problems)
    else:
        assert isinstance(tree, TreeSpec)


def test_the_good_file_is_good() -> None:
    tree = parse_tree(GOOD, "fleet.toml", Path("/"))

    assert ["writers", "inner", "planner", "coder"] == [child.id for _, child in tree.root.walk()]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated_lines())
@example("x = " + "[" * 5000)
@example(f"x = {'9' * 5000}")
@example("[agents.a]\r\ntype = 'process_wrapper'\r\ncommand = '''\r\nx'''\r\n")
def test_mutated_lines_give_a_tree_or_a_config_error(text: str) -> None:
    check(text)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated_characters())
def test_mutated_characters_give_a_tree_or_a_config_error(text: str) -> None:
    check(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated_lines())
def test_every_table_and_key_of_good_toml_has_a_line_that_names_it(text: str) -> None:
    try:
        tomllib.loads(text)
    except ValueError:
        return
    numbered = text.split("\n")

    for path, line in lines_of_keys(text).items():
        assert path[-1] in numbered[line - 1]
