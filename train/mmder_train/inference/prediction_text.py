"""Lines about predictions: models, warnings, and clips without an emotion."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mmder_train.inference.predictor import Prediction, lacking_modality
from mmder_train.inference.trained_run import TrainedRun

MAX_NAMES = 5
"""Maximum number of clips that a line names."""


def describe_models(trained_run: TrainedRun) -> str:
    """Return one line that names the strategy, the folds and the classes."""
    mean = "mean of the models" if len(trained_run.folds) > 1 else "the model"
    return (
        f"{trained_run.strategy.name} ({trained_run.strategy.equation}), {mean} of "
        f"{trained_run.folds_text()}, {len(trained_run.classes)} classes "
        f"({trained_run.labels})"
    )


def overlap_warnings(trained_run: TrainedRun, clip_ids: Iterable[str]) -> list[str]:
    """Return a warning if some clips may have been used for training.

    A model predicts a clip that it was trained on better than a new one. Clips are
    compared by id and by file name.
    """
    clip_ids = list(clip_ids)
    overlap = {
        clip_id: folds
        for clip_id in clip_ids
        if (folds := _folds_trained_on(trained_run, clip_id))
    }
    if not overlap:
        return []
    first, folds = next(iter(overlap.items()))
    return [
        f"warning: {len(overlap)} of {len(clip_ids)} clips have the name of a training "
        f"clip, first {first} (fold {', '.join(map(str, folds))}). Their predictions "
        "do not show how well new clips are predicted. --fold K uses the model of one "
        "fold."
    ]


def _folds_trained_on(trained_run: TrainedRun, clip_id: str) -> list[int]:
    path = PurePosixPath(clip_id)
    names = {clip_id, path.name, path.stem}
    return [k for k in trained_run.folds if names & trained_run.train_clips[k]]


def truncation_warning(predictions: Sequence[Prediction]) -> str | None:
    """Return a line on the clips of which only the first part was judged, if any."""
    longer = [p for p in predictions if p.is_truncated]
    if not longer:
        return None
    names = list_names([f"{p.clip_id} ({p.coverage_text()})" for p in longer])
    return (
        f"warning: {len(longer)} of {len(predictions)} clips are longer than 16 frames "
        f"cover, and the rest was not judged: {names}. To judge other parts, list them "
        "in a CSV file with the columns clip_id, path, start_s, stop_s."
    )


def failure_line(
    predictions: Sequence[Prediction], trained_run: TrainedRun
) -> str | None:
    """Return a line that names the clips without an emotion, if there are any."""
    failed = [p for p in predictions if p.probabilities is None]
    if not failed:
        return None
    noun = "clips" if failed[0].clip.window_s is None else "windows"
    line = (
        f"{len(failed)} of {len(predictions)} {noun} could not be predicted: "
        f"{list_names([p.label for p in failed])}; the reasons are in the output"
    )
    lacking = sum(lacking_modality(p.clip, trained_run) is not None for p in failed)
    if lacking:
        line += f". --allow-missing-modality predicts {lacking} of them"
    return line


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    shown = ", ".join(names[:MAX_NAMES])
    others = len(names) - MAX_NAMES
    return f"{shown} and {others} more" if others > 0 else shown
