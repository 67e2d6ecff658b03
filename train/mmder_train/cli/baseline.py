"""`mmder-train baseline`: a simple audio classifier on the same clips and folds."""

import shlex
from pathlib import Path

import rich_click as click

from mmder_train.cli.options import (
    MODEL,
    fold_option,
    labels_option,
    out_option,
    protocol_option,
    store_option,
    verbose_option,
)

MODELS = ("logistic", "svm")


@click.command()
@store_option(required=True, text="Sealed store written by mmder-prep.")
@labels_option
@protocol_option
@fold_option("Fold to train and test.")
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default="logistic",
    show_default=True,
    help="Logistic regression, or an SVM with an RBF kernel.",
    panel=MODEL,
)
@out_option("Folder for the results.  [default: runs/STORE-baseline-MODEL-HASH]")
@verbose_option
def baseline(
    store: Path,
    model: str,
    labels: str | None,
    protocol: str | None,
    fold: int | None,
    out: Path | None,
) -> None:
    """Train and test a simple classifier on the same clips and folds.

    Its inputs are the mean, standard deviation and percentiles over time of the stored
    MFCC and mel bands. The results have the format of a run, so that 'mmder-train
    compare' can rank them with yours. The baseline is deterministic.
    """
    from rich.console import Console

    from mmder_store import Store
    from mmder_train.baselines.audio_baseline import evaluate_baseline, setup_baseline
    from mmder_train.evaluation.run_directory import RunDirectory
    from mmder_train.evaluation.tables import print_tables

    ready = setup_baseline(
        Store(store),
        model=model,  # type: ignore[arg-type]
        labels=labels or "",
        protocol=protocol or "",
        fold=fold,
    )
    run_dir = RunDirectory(path=out or ready.default_run_dir())
    results = evaluate_baseline(
        ready, run_dir, log=lambda line: click.echo(line, err=True)
    )
    print_tables(results, run_dir, Console())
    path = shlex.quote(str(run_dir.path))
    click.echo(f"next: mmder-train compare {path}", err=True)
