"""`suptree doctor`: what this machine offers, and what is in force."""

from dataclasses import asdict

import click
from rich.table import Table

from suptree.control.trees.doctor import State, examine

from ..common import console, json_option, print_json

_COLOURS = {State.OK: "green", State.LIMITED: "yellow", State.MISSING: "red"}


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Say what this machine offers a tree, and what that means; exits 1 when no tree can run here."""
    findings = examine()
    if as_json:
        print_json([{**asdict(finding), "state": finding.state.value} for finding in findings])
    else:
        table = Table("feature", "state", "found", "means", box=None, pad_edge=False)
        for finding in findings:
            table.add_row(finding.feature, f"[{_COLOURS[finding.state]}]{finding.state.value}", finding.found, finding.means)
        console().print(table)
    if any(finding.state is State.MISSING for finding in findings):
        raise SystemExit(1)
