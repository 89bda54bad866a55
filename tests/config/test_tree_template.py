import shutil
from pathlib import Path

from suptree.actors.spec.agent_spec import AgentSpec
from suptree.supervisors.config.tree_file import parse_tree
from suptree.supervisors.config.tree_template import TREE_TEMPLATE


def test_the_template_is_a_good_tree_file_as_it_is(tmp_path: Path) -> None:
    tree = parse_tree(TREE_TEMPLATE, "fleet.toml", tmp_path)

    assert ["pipeline", "source", "flaky", "helper"] == [child.id for _, child in tree.root.walk()]


def test_the_template_is_good_with_all_that_is_commented_out_too(tmp_path: Path) -> None:
    head, *examples = TREE_TEMPLATE.split("\n# [agents.")
    text = "\n".join([head, *("[agents." + example.replace("\n# ", "\n") for example in examples)])
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("A native_llm is", "One that", "#")))

    tree = parse_tree(text, "fleet.toml", tmp_path)

    assert {"server", "shell", "planner", "assistant"} < {child.id for _, child in tree.root.walk()}


def test_the_template_needs_only_programs_that_every_machine_has(tmp_path: Path) -> None:
    tree = parse_tree(TREE_TEMPLATE, "fleet.toml", tmp_path)

    commands = {child.start.command for _, child in tree.root.walk() if isinstance(child.start, AgentSpec)}
    assert ({"sh", "sleep"}, True) == (commands, all(shutil.which(str(command)) for command in commands))
