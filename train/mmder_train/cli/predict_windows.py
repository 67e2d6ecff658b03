"""`mmder-train predict --every`: the emotion of long recordings over time."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from mmder_train.inference.clip_list import ClipList
    from mmder_train.inference.predictor import Prediction
    from mmder_train.inference.trained_run import TrainedRun


def predict_windows(
    clip_list: "ClipList",
    *,
    run: Path,
    strategy: str | None,
    fold: int | None,
    store: Path | None,
    device: str,
    every_s: float,
    window_s: float | None,
    out: Path | None,
    timeline: Path | None,
    allow_missing_modality: bool,
) -> None:
    """Predict windows that slide over recordings, and print each at once.

    Args:
        clip_list: Recordings.
        run: Folder of a finished run.
        strategy: Strategy to use if the run has several.
        fold: Fold whose model is used, None for all.
        store: Store of the run, if its weights have no preparation settings.
        device: Device of the models.
        every_s: Distance between the starts of two windows.
        window_s: Length of a window, None for that of the run's clips.
        out: CSV file with one row per window.
        timeline: Folder of one picture per recording.
        allow_missing_modality: Predict windows that lack one modality.
    """
    from mmder_train.inference.preprocessing import start_process

    with ExitStack() as stack:
        process = stack.enter_context(start_process())
        from mmder_train.inference import output, prediction_text, predictor
        from mmder_train.inference.explain import create_image_dir
        from mmder_train.inference.trained_run import load_trained_run

        folder = None
        if timeline is not None:
            folder = create_image_dir(timeline, option="--timeline")
        trained_run = load_trained_run(
            run, strategy=strategy, fold=fold, store=store, device=device
        )
        predictions = predictor.predict_recordings(
            clip_list,
            trained_run,
            every_s=every_s,
            window_s=window_s,
            allow_missing_modality=allow_missing_modality,
            process=process,
        )
        clip_ids = [clip.clip_id for clip in clip_list.clips]
        for line in (
            *clip_list.warnings,
            prediction_text.describe_models(trained_run),
            trained_run.quality.warning() or trained_run.quality.scores_text(),
            *prediction_text.overlap_warnings(trained_run, clip_ids),
        ):
            click.echo(line, err=True)
        write = None
        if out:
            model_warning = "; ".join(trained_run.quality.defects())
            write = stack.enter_context(
                output.csv_writer(out, trained_run.classes, model_warning=model_warning)
            )
        labels = [f"{clip_id} 0000.0-0000.0 s" for clip_id in clip_ids]
        table = output.LineTable(labels, trained_run.classes)
        click.echo(table.header())
        done = []
        for prediction in _draw_each(predictions, trained_run, folder):
            if write:
                write(prediction)
            click.echo(table.line(prediction))
            sys.stdout.flush()
            done.append(prediction.without_arrays())
    counts = Counter(p.emotion or "no emotion" for p in done)
    click.echo(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
    if out:
        click.echo(f"predictions: {out}")
    if folder:
        click.echo(f"pictures: {folder}")
    failures = prediction_text.failure_line(done, trained_run)
    if failures:
        click.echo(failures, err=True)
        sys.exit(3)


def _draw_each(
    predictions: "Iterator[Prediction]", trained_run: "TrainedRun", folder: Path | None
) -> "Iterator[Prediction]":
    """Yield the predictions, and draw each recording after its last window."""
    if folder is None:
        yield from predictions
        return
    from mmder_train.inference.prediction_text import describe_models
    from mmder_train.inference.timeline import Timeline
    from mmder_train.inference.timeline_plot import draw_timeline

    for clip_id, windows in groupby(predictions, lambda p: p.clip_id):
        timeline = Timeline(clip_id=clip_id, classes=trained_run.classes)
        for prediction in windows:
            timeline.add(prediction)
            yield prediction
        draw_timeline(timeline, folder, model=describe_models(trained_run))
