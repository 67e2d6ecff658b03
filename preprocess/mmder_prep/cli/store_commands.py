"""The commands that look at a sealed store and change nothing in it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


def console_to(*, stderr: bool) -> "Console":
    """Make the console that a command prints to."""
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True)


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
def inspect(store: Path) -> None:
    """Show what is in a sealed store: settings, counts, sizes, what went wrong."""
    from mmder_prep.quality.inspect import show
    from mmder_store.store import Store

    show(Store(store), console_to(stderr=False))


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write.  [default: NAME-report.html beside the store]",
)
@click.option(
    "--worst",
    type=click.IntRange(0, 200),
    default=24,
    show_default=True,
    help="Clips shown of those that are not ok, or beyond a limit.",
)
def report(store: Path, out: Path | None, worst: int) -> None:
    """Write one HTML page to judge a store by; it shows faces, so keep it private.

    Statuses, measures with their limits, classes by speaker, rates and durations, and
    crops above their sound, the worst clips first. A limit says where to look and drops
    no clip. Nothing on the page comes from a network.
    """
    from mmder_prep.quality.report.page import write_report
    from mmder_store.store import Store

    click.echo(write_report(Store(store), out, worst=worst))


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
def audit(store: Path) -> None:
    """Look for what would make a result on a store dishonest; exit code 1 on a leak.

    A speaker in two folds, the same sound or picture under two names (by content, also
    encoded anew), the same sound with two labels, classes that a fold lacks. What stays
    on one side of every fold is a warning.
    """
    from mmder_prep.quality.audit import balances, findings, table
    from mmder_store.store import Store

    opened, console = Store(store), console_to(stderr=False)
    found = findings(opened)
    for balance in balances(opened):
        console.print(table(balance))
    for finding in found:
        word = "leak" if finding.leak else "warning"
        console.print(f"{word}: {finding.line}", markup=False, highlight=False)
    leaks = sum(finding.leak for finding in found)
    click.echo(f"{store}: {leaks} leaks, {len(found) - leaks} warnings")
    if leaks:
        sys.exit(1)


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
def verify(store: Path) -> None:
    """Read every shard of a store and compare it with ledger and settings."""
    from mmder_prep.quality.verify import problems
    from mmder_store.store import Store

    opened = Store(store)
    count = 0
    for count, problem in enumerate(problems(opened), start=1):  # noqa: B007
        click.echo(problem)
    if count:
        click.echo(f"{store}: {count} problems", err=True)
        sys.exit(1)
    click.echo(f"{store}: {len(opened)} clips, every array as it was written")


STORE_COMMANDS = (inspect, report, audit, verify)
