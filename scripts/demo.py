"""`suptree demo`."""

import click


@click.command()
def demo() -> None:
    """A fleet that crashes on purpose, watched live."""
