"""Last line of a command that succeeded: the next command to type."""

import shlex

import rich_click as click


def show_next(*words: object) -> None:
    """Print the next command to standard error, quoted for a shell."""
    click.echo(f"next: {shlex.join(map(str, words))}", err=True)
