"""Commands that read a sealed store and do not change it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_prep.cli.next_command import show_next
from mmder_prep.cli.options import STORES, out_option, verbose_option

if TYPE_CHECKING:
    from rich.console import Console

store_argument = click.argument("store", type=LocalPath())


def console_to(*, stderr: bool) -> "Console":
    """Return the console that a command prints to."""
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True)


@click.command(panel=STORES)
@store_argument
@verbose_option
def inspect(store: Path) -> None:
    """Show the contents of a store: settings, counts, sizes and failures."""
    from mmder_prep.quality.inspect import show
    from mmder_store.store import Store

    show(Store(store), console_to(stderr=False))
    show_next("mmder-prep", "report", store)


@click.command(panel=STORES)
@store_argument
@click.option(
    "--worst",
    type=click.IntRange(0, 200),
    default=24,
    show_default=True,
    help="Number of clips shown that are not ok or exceed a limit.",
)
@out_option("File to write.  [default: NAME-report.html next to the store]")
@verbose_option
def report(store: Path, out: Path | None, worst: int) -> None:
    """Write an HTML page about the quality of a store; it shows faces: keep it private.

    The page has statuses, measures with their limits, classes by speaker, frame rates,
    durations, and face crops above their spectrograms, worst clips first. A limit only
    marks clips to check; no clip is dropped. The page loads nothing from a network.
    """
    from mmder_prep.quality.report.page import write_report
    from mmder_store.store import Store

    click.echo(write_report(Store(store), out, worst=worst))
    show_next("mmder-prep", "audit", store)


@click.command(panel=STORES)
@store_argument
@verbose_option
def audit(store: Path) -> None:
    """Check a store for leaks between train and test; the exit code is 1 on a leak.

    Leaks are a speaker in two folds, or the same audio or video under two speakers.
    Clips are compared by content, so re-encoded copies are found. Duplicates that stay
    within a speaker, one take with two labels, and classes that a fold lacks are
    warnings.
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
    show_next("mmder-train", "--store", store)


@click.command(panel=STORES)
@store_argument
@click.option(
    "--repair",
    is_flag=True,
    help="Mark what is damaged as not done. The mmder-prep command that made the store "
    "then prepares only these shards again.",
)
@verbose_option
def verify(store: Path, repair: bool) -> None:
    """Compare every byte of a store with its seal, its ledger and its settings.

    The exit code is 1 if anything differs.
    """
    from mmder_prep.quality.verify import problems
    from mmder_store.errors import (
        StoreError,
        StoreIncompleteError,
        StoreVersionError,
    )
    from mmder_store.store import Store
    from mmder_store.verify import Problem, mark_damaged
    from mmder_store.zarr_group import is_store

    found: list[Problem] = []
    clips = 0
    try:
        opened = Store(store)
        clips = len(opened)
        for problem in problems(opened):
            click.echo(problem.text)
            found.append(problem)
    except (StoreVersionError, StoreIncompleteError):
        raise
    except StoreError as error:
        if not is_store(store):
            raise
        click.echo(str(error))
        found.append(Problem(text=str(error)))
    if not found:
        click.echo(f"{store}: {clips} clips, every byte matches the seal")
        show_next("mmder-train", "--store", store)
        return
    count = f"{store}: {len(found)} problems"
    if repair:
        shards = mark_damaged(store, found)
        click.echo(
            f"{count}; {shards} shards are marked as not done. Rerun the mmder-prep "
            "command that made the store, then verify it again.",
            err=True,
        )
    else:
        click.echo(
            f"{count}. Run 'mmder-prep verify --repair {store}', then the mmder-prep "
            "command that made the store: only damaged shards are prepared again.",
            err=True,
        )
    sys.exit(1)


STORE_COMMANDS = (inspect, report, audit, verify)
