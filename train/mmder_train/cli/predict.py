"""`mmder-train predict`: the emotion of new clips, from media files."""

import shlex
import sys
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
    run_seed_option,
    store_option,
    verbose_option,
)
from mmder_train.cli.predict_steps import ModelChoice, open_csv, print_counts
from mmder_train.cli.predict_windows import predict_windows

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
@run_seed_option
@out_option(
    "CSV file for the probabilities of all classes. Until the last clip is predicted, "
    "its rows are in FILE.partial."
)
@click.option(
    "--explain",
    metavar="DIR",
    type=LocalPath(),
    help="Folder for one occlusion map per clip (PNG, SVG and PDF). They show faces.",
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
@click.option(
    "--every",
    "every_s",
    type=float,
    metavar="SECONDS",
    help="Predict windows of long recordings; distance between their starts.",
    panel=DATA,
)
@click.option(
    "--window",
    "window_s",
    type=float,
    metavar="SECONDS",
    help="Length of a window for a run on a store made with --step auto.  "
    "[default: that of the run's clips]",
    panel=DATA,
)
@click.option(
    "--timeline",
    metavar="DIR",
    type=LocalPath(),
    help="Folder for pictures of each recording over time (PNG, SVG and PDF); they "
    "show faces.",
    panel=OUTPUT,
)
@click.option(
    "--allow-missing-modality",
    is_flag=True,
    help="Predict clips without audio, or without a face, from the other modality.",
    panel=DATA,
)
@device_option("Device of the models; faces are detected on the CPU.")
@verbose_option
def predict(
    clips: tuple[Path, ...],
    run: Path,
    strategy: str | None,
    fold: int | None,
    seed: int | None,
    out: Path | None,
    explain: Path | None,
    detail: str,
    root: Path | None,
    store: Path | None,
    every_s: float | None,
    window_s: float | None,
    timeline: Path | None,
    allow_missing_modality: bool,
    device: str,
) -> None:
    """Predict the emotion of new clips from media files.

    CLIP is a media file, a folder of media files, or a CSV list with the column path;
    the other columns of 'mmder-prep manifest' are accepted too. Clips are prepared with
    the settings of the run: 16 frames and the audio around them, 3.2 s by default. Of a
    longer clip only the start is judged. List other parts in a CSV file, with the
    columns clip_id, path, start_s and stop_s.

    Each clip is printed as soon as it is predicted. The exit code is 3 if a clip cannot
    be read or lacks the face, video or audio that the strategy needs; all others are
    predicted.

    With --every, windows slide over recordings of any length. Each window is as long as
    the clips of the run, and is predicted as a clip of its own.
    """
    from rich.console import Console

    from mmder_store.errors import SettingsError
    from mmder_train.evaluation.load_results import load_results
    from mmder_train.inference.clip_list import find_clips
    from mmder_train.inference.preprocessing import clip_progress, start_process

    # Wrong paths are reported before torch is loaded, which takes seconds.
    clip_list = find_clips(clips, root=root)
    load_results(run)
    models = ModelChoice(
        run=run, strategy=strategy, fold=fold, seed=seed, store=store, device=device
    )
    if every_s is not None:
        if explain:
            msg = "--explain: not with --every. Use --timeline, or predict clips."
            raise SettingsError(msg)
        predict_windows(
            clip_list,
            models,
            every_s=every_s,
            window_s=window_s,
            out=out,
            timeline=timeline,
            allow_missing_modality=allow_missing_modality,
        )
        return
    if window_s is not None or timeline is not None:
        option = "--timeline" if timeline is not None else "--window"
        msg = f"{option}: needs --every, which predicts windows of recordings"
        raise SettingsError(msg)
    clip_ids = [clip.clip_id for clip in clip_list.clips]
    stdout = sys.stdout  # a bar replaces it
    with ExitStack() as stack:
        # The process that prepares clips imports its libraries at the same time.
        process = stack.enter_context(start_process())
        from mmder_train.inference import explain as occlusion_maps
        from mmder_train.inference import output, prediction_text, predictor

        image_dir = occlusion_maps.create_image_dir(explain) if explain else None
        trained_run = models.load(clip_list)
        predictions = []
        write = open_csv(out, trained_run, stack)
        bar = stack.enter_context(clip_progress(len(clip_ids), Console(stderr=True)))

        def show(text: str) -> None:
            """Print a text at once; a bar on the same terminal moves down."""
            if stdout.isatty() and bar.console.is_terminal:
                bar.console.print(text, soft_wrap=True, markup=False, highlight=False)
            else:
                click.echo(text, file=stdout)
                stdout.flush()

        table = output.LineTable(clip_ids, trained_run.classes)
        if len(clip_ids) > 1:
            show(table.header())
        for prediction in predictor.predict_files(
            clip_list,
            trained_run,
            progress=bar.tick,
            keep_arrays=bool(image_dir),
            allow_missing_modality=allow_missing_modality,
            process=process,
        ):
            write(prediction)
            if len(clip_ids) > 1 or prediction.probabilities is None:
                show(table.line(prediction))
            if image_dir and prediction.probabilities:
                line = occlusion_maps.draw_explanation(
                    prediction.clip,
                    trained_run,
                    folder=image_dir,
                    detail=detail,
                    missing=prediction.missing,
                )
                bar.console.print(line, soft_wrap=True, markup=False, highlight=False)
            predictions.append(prediction.without_arrays())
    if len(predictions) == 1 and predictions[0].probabilities:
        output.print_classes(predictions[0], Console())
    if out:
        print_counts(predictions)
        click.echo(f"predictions: {out}")
    if image_dir:
        click.echo(f"images: {image_dir}")
    failures = prediction_text.failure_line(predictions, trained_run)
    for text in (prediction_text.truncation_warning(predictions), failures):
        if text:
            click.echo(text, err=True)
    if not image_dir:
        words = ["mmder-train", "predict", *map(str, clips), "--run", str(run)]
        words += ["--strategy", strategy] if strategy else []
        words += [] if seed is None else ["--seed", str(seed)]
        click.echo(f"next: {shlex.join(words)} --explain maps", err=True)
    if failures:
        sys.exit(3)
