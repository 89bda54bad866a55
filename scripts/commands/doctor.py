"""`suptree doctor`: what this machine offers, and what is in force."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from suptree.actors.errors import SuptreeError
from suptree.control.trees.find import running_trees
from suptree.control.trees.machine_check import Finding, State, examine
from suptree.supervisors.config.tree_file import load_tree
from suptree.supervisors.spec.longest_stop import longest_stop

from ..common import journal_trouble, json_option, with_client
from ..drawings import cell, show, table
from ..screen import print_json

_COLOURS = {State.OK: "green", State.LIMITED: "yellow", State.MISSING: "red"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@json_option
def doctor(file: Path | None, *, as_json: bool) -> None:
    """Say what this machine offers a tree, running ones and that of FILE too, and what it means; exits 1 when no tree can run here."""
    spec = None if file is None else load_tree(file)
    findings = examine()
    if spec is not None:
        findings.append(_longest_stop(str(file), longest_stop(spec.root)))
    if all(finding.state is not State.MISSING for finding in findings):
        for tree in running_trees():
            findings += _of_running(tree.paths.name)
    if as_json:
        print_json([{**asdict(finding), "state": finding.state.value} for finding in findings])
    else:
        drawn = table("feature", "state", "found", "means", wrapped=("found", "means"))
        for finding in findings:
            drawn.add_row(finding.feature, cell(finding.state.value, _COLOURS[finding.state]), cell(finding.found), cell(finding.means))
        show(drawn)
    if any(finding.state is State.MISSING for finding in findings):
        raise SystemExit(1)


def _of_running(tree: str) -> list[Finding]:
    """Whether what happens in a tree that runs is written down, and how long its stop can take."""
    try:
        status = with_client(tree, lambda client: client.status())
    except SuptreeError as error:
        return [Finding(f"journal of {tree}", State.LIMITED, str(error), "it is not known whether its events are written down")]
    return [_journal(f"journal of {tree}", status["journal"]), _longest_stop(tree, status["longest_stop"])]


def _longest_stop(of: str, seconds: float | None) -> Finding:
    """What the unit must know in which systemd runs a tree."""
    feature = f"longest stop of {of}"
    if seconds is None:
        return Finding(feature, State.LIMITED, "not known", "a program gave it its agents: `suptree down --timeout` bounds a stop")
    return Finding(feature, State.OK, f"{seconds:g} s", "the TimeoutStopSec of a systemd unit must be longer")


def _journal(feature: str, journal: dict[str, Any]) -> Finding:
    trouble = journal_trouble(journal)
    if trouble is None:
        return Finding(feature, State.OK, "complete", "every event is written down")
    return Finding(feature, State.LIMITED, trouble, "the tree goes on; after its end, what is missing there is known to nobody")
