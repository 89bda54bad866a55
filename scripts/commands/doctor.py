"""`suptree doctor`: what this machine offers, and what is in force."""

from dataclasses import asdict

import click

from suptree.actors.errors import SuptreeError
from suptree.actors.events.wording import journal_trouble
from suptree.control.trees.find import running_trees
from suptree.control.trees.machine_check import Finding, State, examine

from ..common import json_option, with_client
from ..screen import cell, print_json, show, table

_COLOURS = {State.OK: "green", State.LIMITED: "yellow", State.MISSING: "red"}


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Say what this machine offers a tree, and what that means; exits 1 when no tree can run here."""
    findings = examine()
    if all(finding.state is not State.MISSING for finding in findings):
        findings += [_journal(tree.paths.name) for tree in running_trees()]
    if as_json:
        print_json([{**asdict(finding), "state": finding.state.value} for finding in findings])
    else:
        drawn = table("feature", "state", "found", "means", wrapped=("found", "means"))
        for finding in findings:
            drawn.add_row(finding.feature, cell(finding.state.value, _COLOURS[finding.state]), cell(finding.found), cell(finding.means))
        show(drawn)
    if any(finding.state is State.MISSING for finding in findings):
        raise SystemExit(1)


def _journal(tree: str) -> Finding:
    """Whether what happens in a tree that runs is written down."""
    feature = f"journal of {tree}"
    try:
        trouble = journal_trouble(with_client(tree, lambda client: client.status())["journal"])
    except SuptreeError as error:
        return Finding(feature, State.LIMITED, str(error), "it is not known whether its events are written down")
    if trouble is None:
        return Finding(feature, State.OK, "complete", "every event is written down")
    return Finding(feature, State.LIMITED, trouble, "the tree goes on; after its end, what is missing there is known to nobody")
