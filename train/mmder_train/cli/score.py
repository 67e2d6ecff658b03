"""`mmder-train score`: a run folder from the predictions of another program."""

import shlex
from pathlib import Path
from typing import Literal

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_train.cli.options import (
    DATA,
    MODEL,
    fold_option,
    labels_option,
    out_option,
    protocol_option,
    store_option,
    verbose_option,
)

MODALITIES = ("av", "audio", "video")


@click.command()
@click.argument("predictions", type=LocalPath())
@store_option(required=True, text="Sealed store with the clips.")
@labels_option
@protocol_option
@fold_option("Fold to score.")
@click.option(
    "--train-list",
    type=LocalPath(),
    help="CSV file with the column clip_id of all training clips, and fold if there is "
    "one model per fold. Tested speakers among them are an error.",
    panel=DATA,
)
@click.option(
    "--modality",
    type=click.Choice(MODALITIES),
    help="Input of the other program; only clips that have it are expected.  "
    "[default: av, or audio for a store without video]",
    panel=MODEL,
)
@click.option(
    "--name",
    help="Name in tables.  [default: name of the file]",
    panel=MODEL,
)
@out_option("Folder for the results.  [default: runs/STORE-foreign-NAME-HASH]")
@verbose_option
def score(
    predictions: Path,
    store: Path,
    labels: str | None,
    protocol: str | None,
    fold: int | None,
    train_list: Path | None,
    modality: Literal["av", "audio", "video"] | None,
    name: str | None,
    out: Path | None,
) -> None:
    """Score the predictions of another program, so that 'compare' can rank them.

    PREDICTIONS is a CSV file with the column clip_id, and the column predicted with the
    class, or one column p_CLASS per class with probabilities or other scores. If it has
    the columns fold, speaker or true, they must agree with the store. Every clip that
    the protocol tests must have exactly one prediction.
    """
    from rich.console import Console

    from mmder_cli.output_folder import check_output_folder
    from mmder_store import Store
    from mmder_train.evaluation.foreign_run import write_foreign_run
    from mmder_train.evaluation.foreign_setup import setup_foreign_run
    from mmder_train.evaluation.run_directory import RunDirectory
    from mmder_train.evaluation.tables import print_tables
    from mmder_train.reporting.comparison import compare_runs
    from mmder_train.reporting.layout import score_text

    if out is not None:
        check_output_folder(out)
    run = setup_foreign_run(
        predictions,
        Store(store),
        name=name,
        modality=modality,
        labels=labels or "",
        protocol=protocol or "",
        fold=fold,
        train_list=train_list,
    )
    run_dir = RunDirectory(path=out or run.default_run_dir())
    for warning in run.warnings:
        click.echo(f"{run.name}: {warning}", err=True)
    results = write_foreign_run(run, run_dir)
    print_tables(results, run_dir, Console())
    row = compare_runs([run_dir.path])[0].rows[0]
    click.echo(score_text(row))
    path = shlex.quote(str(run_dir.path))
    click.echo(f"next: mmder-train compare {path}", err=True)
