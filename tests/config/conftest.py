"""Fixtures: tree files as texts."""

from pathlib import Path
from textwrap import dedent

import pytest

from suptree.actors.errors import ConfigError
from suptree.supervisors.config.tree_file import parse_tree

from .parsing import Parse, Problems, Refuse


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    return lambda text: parse_tree(dedent(text), "fleet.toml", tmp_path)


@pytest.fixture
def refuse(parse: Parse) -> Refuse:
    """Everything that is wrong with a text."""

    def problems_of(text: str) -> Problems:
        with pytest.raises(ConfigError) as refused:
            parse(text)
        return refused.value.problems

    return problems_of
