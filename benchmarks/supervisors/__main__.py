"""Supervisors side by side, in one run: `python -m benchmarks.supervisors run`.

The machine must be quiet. What is not installed is left out, and said.
"""

import json
from pathlib import Path
from typing import Any

import click

from .contestants import CONTESTANTS
from .machine import description
from .measures import MEASURES
from .running_contestant import TooLate
from .tables import differences, table


@click.group()
def main() -> None:
    """Measure suptree beside other supervisors."""


@main.command()
@click.option("--contestant", "-c", "names", multiple=True, type=click.Choice([*CONTESTANTS]), help="Only these; else all that can run.")
@click.option("--measure", "-m", "measures", multiple=True, type=click.Choice([*MEASURES]), help="Only these; else all.")
@click.option("--size", "-s", "sizes", multiple=True, type=click.IntRange(1), default=(10, 100), show_default=True, help="Programs.")
@click.option(
    "--times", "-n", type=click.IntRange(1), default=30, show_default=True, help="Samples of what is quick; fewer of what is slow."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results.json"), show_default=True, help="Where all samples are kept.")
def run(names: tuple[str, ...], measures: tuple[str, ...], sizes: tuple[int, ...], times: int, out: Path) -> None:
    """Measure, print one Markdown table, and keep all samples."""
    results: dict[str, Any] = {"machine": description(), "absent": {}, "samples": {}}
    chosen = [CONTESTANTS[name] for name in names or CONTESTANTS]
    for contestant in chosen:
        if contestant.missing:
            results["absent"][contestant.name] = f"there is no command {', '.join(contestant.missing)}"
    able = [contestant for contestant in chosen if not contestant.missing]
    for name in measures or MEASURES:
        measure = MEASURES[name]
        # Without a size the number of programs is the measure's own.
        for size in sizes if measure.by_size else (0,):
            for contestant in able:
                click.echo(f"{name} {size or ''} {contestant.name}", err=True)
                try:
                    samples = measure.run(contestant, size, times)
                except TooLate as late:
                    results["absent"][f"{contestant.name}, {name} {size}"] = str(late)
                    continue
                results["samples"].setdefault(name, {}).setdefault(str(size or ""), {})[contestant.name] = samples
                out.write_text(json.dumps(results), encoding="utf-8")
    click.echo(table(results))


@main.command()
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path))
@click.option("--contestant", "-c", type=click.Choice([*CONTESTANTS]), default="suptree", show_default=True)
def compare(old: Path, new: Path, contestant: str) -> None:
    """Say what is different between two runs beyond their noise."""
    for line in differences(old, new, contestant):
        click.echo(line)


if __name__ == "__main__":
    main()
