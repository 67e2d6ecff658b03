"""`mmder-train predict --every`: the emotion of long recordings over time."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from mmder_train.cli.predict_steps import ModelChoice, open_csv, print_counts

if TYPE_CHECKING:
    from mmder_train.inference.clip_list import ClipList
    from mmder_train.inference.predictor import Prediction
    from mmder_train.inference.trained_run import TrainedRun


def predict_windows(
    clip_list: "ClipList",
    models: ModelChoice,
    *,
    every_s: float,
    window_s: float | None,
    out: Path | None,
    timeline: Path | None,
    allow_missing_modality: bool,
) -> None:
    """Predict windows that slide over recordings, and print each at once.

    Args:
        clip_list: Recordings.
        models: Models of a run.
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

        folder = None
        if timeline is not None:
            folder = create_image_dir(timeline, option="--timeline")
        trained_run = models.load(clip_list)
        predictions = predictor.predict_recordings(
            clip_list,
            trained_run,
            every_s=every_s,
            window_s=window_s,
            allow_missing_modality=allow_missing_modality,
            process=process,
        )
        clip_ids = [clip.clip_id for clip in clip_list.clips]
        write = open_csv(out, trained_run, stack)
        labels = [f"{clip_id} 0000.0-0000.0 s" for clip_id in clip_ids]
        table = output.LineTable(labels, trained_run.classes)
        click.echo(table.header())
        done = []
        for prediction in _draw_each(predictions, trained_run, folder):
            write(prediction)
            click.echo(table.line(prediction))
            sys.stdout.flush()
            done.append(prediction.without_arrays())
    print_counts(done)
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
