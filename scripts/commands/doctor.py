"""`suptree doctor`: what this machine offers, and what is in force."""

from dataclasses import asdict

import click

from suptree.control.trees.doctor import State, examine

from ..common import json_option
from ..screen import cell, print_json, show, table

_COLOURS = {State.OK: "green", State.LIMITED: "yellow", State.MISSING: "red"}


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Say what this machine offers a tree, and what that means; exits 1 when no tree can run here."""
    findings = examine()
    if as_json:
        print_json([{**asdict(finding), "state": finding.state.value} for finding in findings])
    else:
        drawn = table("feature", "state", "found", "means", wrapped=("found", "means"))
        for finding in findings:
            drawn.add_row(finding.feature, cell(finding.state.value, _COLOURS[finding.state]), cell(finding.found), cell(finding.means))
        show(drawn)
    if any(finding.state is State.MISSING for finding in findings):
        raise SystemExit(1)
