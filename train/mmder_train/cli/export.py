"""`mmder-train export`: a trained model in the format of another program."""

from pathlib import Path

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_train.cli.options import (
    MODEL,
    OUTPUT,
    fold_option,
    run_seed_option,
    verbose_option,
)

TARGETS = ("huggingface", "onnx")


@click.command()
@click.argument("run", type=LocalPath())
@click.argument("folder", type=LocalPath())
@click.option(
    "--to",
    "target",
    type=click.Choice(TARGETS),
    required=True,
    help="Format: a folder for transformers, or ONNX.",
    panel=OUTPUT,
)
@click.option("--strategy", help="Strategy to use if the run has several.", panel=MODEL)
@run_seed_option
@fold_option("Fold whose model is exported; required if the run has several.")
@verbose_option
def export(
    run: Path,
    folder: Path,
    target: str,
    strategy: str | None,
    seed: int | None,
    fold: int | None,
) -> None:
    """Export the model of one fold of RUN into FOLDER.

    RUN is the folder of a finished run made with --save-weights. The folder also gets a
    model card, README.md, with the input, the scores, the training data and the limits.
    """
    from mmder_train.export.write_export import export_run

    out = export_run(
        run, folder, target=target, strategy=strategy, fold=fold, seed=seed
    )
    click.echo(f"model: {out}")
