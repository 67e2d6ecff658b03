"""Preparation in separate steps: plan a store, work on parts of it, seal it."""

import os
import sys
from pathlib import Path

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_prep.cli.build_commands import (
    corpus_command,
    manifest_command,
    show_summary,
    start_plan,
)
from mmder_prep.cli.next_command import show_next
from mmder_prep.cli.options import (
    CORPORA,
    OUTPUT,
    STEPS,
    max_failed_option,
    verbose_option,
)
from mmder_prep.cli.stop_signals import end_on_signals
from mmder_prep.cli.store_commands import console_to

store_argument = click.argument("store", type=LocalPath())


@click.group("plan", panel=STEPS)
@click.command_panel(CORPORA)
def plan() -> None:
    """Create a store and list its shards, for 'mmder-prep work'.

    Nothing is decoded. The options are those of the command that does all steps.
    """


def add_planned_corpora() -> None:
    """Add one subcommand of ``plan`` per corpus, and one for any manifest."""
    from mmder_prep import corpora

    for corpus in corpora.CORPORA:
        plan.add_command(corpus_command(corpus, start_plan))
    plan.add_command(manifest_command(start_plan))


@click.command(panel=STEPS)
@store_argument
@click.option(
    "--part",
    metavar="K/N",
    help="Prepare every N-th shard, beginning with the K-th.  [default: from "
    "SLURM_ARRAY_TASK_ID and its companions, else all]",
    panel=OUTPUT,
)
@click.option(
    "--shards",
    metavar="LIST",
    help="Prepare these shards, such as 3,17-20.",
    panel=OUTPUT,
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=None,
    show_default="one per core of this job",
    help="Number of worker processes, with one thread each.",
    panel=OUTPUT,
)
@verbose_option
def work(
    store: Path, part: str | None, shards: str | None, workers: int | None
) -> None:
    """Prepare some shards of a planned store; any number of jobs may run at once.

    Finished shards are skipped, so an interrupted job is repeated as it is. SIGTERM and
    SIGUSR1 end it with one line.
    """
    from mmder_prep.pipeline.build import read_planned, work_on
    from mmder_prep.pipeline.parts import (
        parse_part,
        parse_shards,
        part_from_environment,
    )

    if part is not None and shards is not None:
        msg = "--part and --shards exclude each other."
        raise click.UsageError(msg)
    planned, console = read_planned(store), console_to(stderr=True)
    total = planned.plan.shards
    if shards is not None:
        selected = parse_shards(shards, total)
    else:
        chosen = part_from_environment() if part is None else parse_part(part)
        selected = list(chosen.shards(total))
    with end_on_signals():
        done = work_on(planned, selected, workers=workers or _cores(), console=console)
    kept = sum(summary.kept for summary in done)
    console.print(
        f"{len(done)} of {total} shards of {store} are done, of which {kept} were "
        "already",
        highlight=False,
        markup=False,
    )
    show_next("mmder-prep", "seal", store)


@click.command(panel=STEPS)
@store_argument
@max_failed_option
@verbose_option
def seal(store: Path, max_failed: int) -> None:
    """Complete a planned store whose shards are all prepared.

    If shards are missing, their numbers are printed as 'sbatch --array' takes them, and
    the exit code is 1.
    """
    from mmder_prep.pipeline.build import BuildSummary, seal_planned
    from mmder_prep.pipeline.parts import format_shards

    console = console_to(stderr=True)
    result = seal_planned(store)
    if isinstance(result, BuildSummary):
        show_summary(store, result, console, max_failed=max_failed)
        return
    console.print(
        f"{store}: {len(result)} shards are missing. Prepare them with mmder-prep work "
        "--shards LIST; the list is:",
        highlight=False,
        markup=False,
    )
    click.echo(format_shards(result))
    sys.exit(1)


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
