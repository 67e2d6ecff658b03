"""`mmder-train predict`: the emotion of new clips, from media files."""

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_train.cli.options import (
    DATA,
    MODEL,
    OUTPUT,
    device_option,
    fold_option,
    out_option,
    store_option,
    verbose_option,
)

DETAILS = ("coarse", "fine")


@click.command()
@click.argument("clips", metavar="CLIP...", type=LocalPath(), nargs=-1, required=True)
@click.option(
    "--root",
    type=LocalPath(),
    help="Folder that paths in a CSV list are relative to.  [default: the list's]",
    panel=DATA,
)
@store_option(
    required=False,
    text="Store of the run; only needed for weights without preparation settings.",
)
@fold_option("Fold whose model is used; all averages the models of all folds.")
@click.option(
    "--run",
    required=True,
    type=LocalPath(),
    help="Folder of a finished run made with --save-weights.",
    panel=MODEL,
)
@click.option("--strategy", help="Strategy to use if the run has several.", panel=MODEL)
@out_option("CSV file for the probabilities of all classes, instead of a table.")
@click.option(
    "--explain",
    metavar="DIR",
    type=LocalPath(),
    help="Folder for one occlusion map (PNG) per clip. The images show faces.",
    panel=OUTPUT,
)
@click.option(
    "--detail",
    type=click.Choice(DETAILS),
    default="coarse",
    show_default=True,
    help="Number of blocks that --explain hides in turn: 64 (coarse) or 512 (fine).",
    panel=OUTPUT,
)
@device_option("Device of the models; faces are detected on the CPU.")
@verbose_option
def predict(
    clips: tuple[Path, ...],
    run: Path,
    strategy: str | None,
    fold: int | None,
    out: Path | None,
    explain: Path | None,
    detail: str,
    root: Path | None,
    store: Path | None,
    device: str,
) -> None:
    """Predict the emotion of new clips from media files.

    CLIP is a media file, a folder of media files, or a CSV list with the column path;
    the other columns of 'mmder-prep manifest' are accepted too. Clips are prepared with
    the settings of the run. The exit code is 3 if a clip cannot be read or lacks the
    face, video or audio that the strategy needs; all others are predicted.
    """
    from mmder_train.inference.clip_list import find_clips

    # Wrong paths are reported before torch is loaded, which takes seconds.
    clip_list = find_clips(clips, root=root)

    from rich.console import Console

    from mmder_train.inference import explain as occlusion_maps
    from mmder_train.inference import output, predictor, preprocessing
    from mmder_train.inference.trained_run import load_trained_run

    image_dir = occlusion_maps.create_image_dir(explain) if explain else None
    trained_run = load_trained_run(
        run, strategy=strategy, fold=fold, store=store, device=device
    )
    clip_ids = [clip.clip_id for clip in clip_list.clips]
    for warning in clip_list.warnings:
        click.echo(warning, err=True)
    click.echo(predictor.describe_models(trained_run), err=True)
    for warning in predictor.overlap_warnings(trained_run, clip_ids):
        click.echo(warning, err=True)
    predictions = []
    with ExitStack() as stack:
        write = (
            stack.enter_context(output.csv_writer(out, trained_run.classes))
            if out
            else None
        )
        bar = stack.enter_context(
            preprocessing.clip_progress(len(clip_ids), Console(stderr=True))
        )
        for prediction in predictor.predict_files(
            clip_list, trained_run, progress=bar.tick, keep_arrays=bool(image_dir)
        ):
            if write:
                write(prediction)
            if image_dir and prediction.probabilities:
                line = occlusion_maps.draw_explanation(
                    prediction.clip, trained_run, folder=image_dir, detail=detail
                )
                bar.console.print(line, soft_wrap=True, markup=False, highlight=False)
            predictions.append(prediction.without_arrays())
    if out is None:
        output.print_predictions(predictions, Console())
    else:
        counts = Counter(p.emotion or "no emotion" for p in predictions)
        click.echo(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
        click.echo(f"predictions: {out}")
    if image_dir:
        click.echo(f"images: {image_dir}")
    failed = sum(p.probabilities is None for p in predictions)
    if failed:
        click.echo(
            f"{failed} of {len(predictions)} clips could not be predicted; the reasons "
            "are in the output",
            err=True,
        )
        sys.exit(3)
