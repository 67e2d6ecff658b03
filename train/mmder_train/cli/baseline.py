"""TODO."""

from pathlib import Path

import click

MODELS = ("logistic", "svm")


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default="logistic",
    help="Logistic regression, or an SVM with a radial kernel.",
)
@click.option("--labels", help="Label set.  [default: the store's first]")
@click.option(
    "--protocol",
    help="Folds named by the store, or speakers-5.  [default: the store's first]",
)
@click.option(
    "--fold", type=click.IntRange(min=1), help="Fold that is tested.  [default: all]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the results.  [default: runs/STORE-baseline-MODEL-HASH]",
)
def baseline(
    store: Path,
    model: str,
    labels: str | None,
    protocol: str | None,
    fold: int | None,
    out: Path | None,
) -> None:
    """Test a simple classifier on the same clips and folds.

    It sees means, spreads and percentiles over time of the stored sound: MFCC and mel
    bands. Results have the form of a run, so that `report` sets them beside yours.
    Nothing is drawn: the same store gives the same numbers.
    """
    from rich.console import Console

    from mmder_store import Store
    from mmder_train.baselines.audio_baseline import evaluate_baseline, setup_baseline
    from mmder_train.evaluation import tables as scores
    from mmder_train.evaluation.run_directory import RunDirectory

    found = setup_baseline(
        Store(store),
        model=model,  # type: ignore[arg-type]
        labels=labels or "",
        protocol=protocol or "",
        fold=fold,
    )
    folder = RunDirectory(path=out or found.default_run_dir())
    results = evaluate_baseline(
        found, folder, say=lambda line: click.echo(line, err=True)
    )
    scores.print_tables(results, folder, Console())
