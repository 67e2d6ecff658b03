"""Python API of prediction: the emotion of new clips from their media files."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from mmder_train.data import coverage
from mmder_train.data.image_transforms import mirror
from mmder_train.data.selection import accepted_statuses
from mmder_train.data.stored_arrays import load_arrays
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.inference.clip_list import ClipList, find_clips
from mmder_train.inference.preprocessing import PreparedClip, prepare_clips
from mmder_train.inference.trained_run import TrainedRun

MAX_NAMES = 5
"""Maximum number of clips that a line names."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The predicted emotion of one clip."""

    clip: PreparedClip
    """The preprocessed clip. Its arrays are empty unless they were asked for."""
    probabilities: Mapping[str, float] | None
    """Probability of each class, in [0, 1] with a sum of 1. The order is that of
    `TrainedRun.classes`. None if the clip could not be predicted; `status` and `reason`
    then name the cause."""

    @property
    def clip_id(self) -> str:
        """Id of the clip, by default its file name without the suffix."""
        return self.clip.clip_id

    @property
    def status(self) -> str:
        """One of `mmder_store.schema.STATUSES`; ``ok`` if nothing is missing."""
        return self.clip.status

    @property
    def reason(self) -> str:
        """Explanation of the status, empty if there is none."""
        return self.clip.reason

    @property
    def judged_s(self) -> tuple[float, float] | None:
        """Start and stop in seconds of the part that the frames and the audio cover.

        None if the clip could not be predicted.
        """
        clip = self.clip
        if self.probabilities is None or not math.isfinite(clip.start_s):
            return None
        stop_s = coverage.covered_stop_s(clip.start_s, clip.stop_s, clip.step_s)
        return clip.start_s, stop_s

    @property
    def is_truncated(self) -> bool:
        """True if the clip continues after the part that was judged."""
        return self.judged_s is not None and coverage.is_truncated(
            self.clip.start_s, self.clip.stop_s, self.clip.step_s
        )

    def coverage_text(self) -> str:
        """Return the judged part if it is not the whole clip, else an empty text."""
        if self.judged_s is None or not self.is_truncated:
            return ""
        start_s, stop_s = self.judged_s
        end = f"{self.clip.stop_s:.1f}" if math.isfinite(self.clip.stop_s) else "?"
        return f"judged {start_s:.1f}-{stop_s:.1f} s of {end} s"

    @property
    def emotion(self) -> str | None:
        """Most probable class, None if the clip could not be predicted."""
        if self.probabilities is None:
            return None
        return max(self.probabilities, key=self.probabilities.__getitem__)

    def without_arrays(self) -> "Prediction":
        """Return a copy without the arrays of the clip, which take a few megabytes."""
        return replace(self, clip=replace(self.clip, arrays={}))


def predict_files(
    paths: str | Path | Sequence[str | Path] | ClipList,
    trained_run: TrainedRun,
    *,
    root: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    keep_arrays: bool = False,
    process: ProcessPoolExecutor | None = None,
) -> Iterator[Prediction]:
    """Predict the emotion of clips from their media files.

    Clips are preprocessed with the settings of the run's store, one after the other, in
    a separate process. That process is started with the method "spawn", so a script
    must call this function below ``if __name__ == "__main__":``.

    Examples:
        trained_run = load_trained_run("runs/my-run")
        for prediction in predict_files("clips/", trained_run):
            print(prediction.clip_id, prediction.emotion, prediction.probabilities)

    Args:
        paths: One path, or several. Each is a media file, a folder or a CSV list with
            the column ``path``. The result of `find_clips` is accepted too.
        trained_run: Models of a finished run, from `load_trained_run`.
        root: Folder that the paths in a CSV list are relative to. None for the folder
            of the list.
        progress: Function that is called with the status of each clip as soon as the
            clip is preprocessed.
        keep_arrays: Keep the preprocessed video and audio in each prediction, as
            `explain.draw_explanation` needs them.
        process: Process from `preprocessing.start_process`. None to start one.

    Returns:
        An iterator with one prediction per clip, in the order of the clips. A clip that
        cannot be read, or lacks the face, video or audio that the strategy needs, has
        the probabilities None, and does not stop the others.

    Raises:
        MmderError: If a path does not exist, a folder contains no clip, a list cannot
            be read, or two clips have the same id. The iterator raises it if mmder_prep
            is not installed, or its process cannot start.
    """
    found = paths if isinstance(paths, ClipList) else find_clips(paths, root=root)
    prepared = prepare_clips(
        found.clips, trained_run.prep_settings, progress=progress, process=process
    )
    predictions = predict_clips(prepared, trained_run)
    return predictions if keep_arrays else (p.without_arrays() for p in predictions)


def predict_clips(
    clips: Iterable[PreparedClip], trained_run: TrainedRun
) -> Iterator[Prediction]:
    """Yield the predictions of preprocessed clips, in their order.

    Each clip is predicted as soon as it is prepared, on its own, so its probabilities
    do not depend on the other clips. Preparing a clip takes longer than predicting it.

    A clip whose status the strategy cannot use has the probabilities None. Training
    excludes the same clips.

    Args:
        clips: Clips from `prepare_clips`.
        trained_run: Models of a finished run.
    """
    accepted = accepted_statuses(trained_run.strategy)
    for clip in clips:
        probabilities = None
        if clip.status in accepted:
            row = _predict_clip(clip, trained_run)
            probabilities = dict(zip(trained_run.classes, row, strict=True))
        yield Prediction(clip=clip, probabilities=probabilities)


def _predict_clip(clip: PreparedClip, trained_run: TrainedRun) -> list[float]:
    """Return the class probabilities of a clip: the mean over its views."""
    device = trained_run.device
    arrays = {k: t.to(device) for k, t in arrays_to_batch([clip], trained_run).items()}
    permutations = frame_permutations([clip.clip_id], seed=trained_run.seed)
    views = []
    for mirrored in (False, True)[: trained_run.views]:
        frames = arrays.get("frames")
        if mirrored and frames is not None:
            frames = mirror(frames)
        x = fuse(
            frames,
            arrays.get("audio"),
            permutations.to(device),
            strategy=trained_run.strategy,
            settings=trained_run.render_settings,
        )
        views.append(trained_run.predict_probabilities(x))
    row: list[float] = torch.stack(views).mean(0)[0].tolist()
    return row


def arrays_to_batch(
    clips: Sequence[PreparedClip], trained_run: TrainedRun
) -> dict[str, Tensor]:
    """Return the arrays that the strategy needs, stacked over clips.

    The result equals that of `load_arrays` for the same clips in a store.
    """
    return load_arrays(
        lambda name: np.stack([clip.arrays[name] for clip in clips]),
        strategy=trained_run.strategy,
        spectrogram=trained_run.render_settings.spectrogram,
    )


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


def failure_line(predictions: Sequence[Prediction]) -> str | None:
    """Return a line that names the clips without an emotion, if there are any."""
    failed = [p.clip_id for p in predictions if p.probabilities is None]
    if not failed:
        return None
    return (
        f"{len(failed)} of {len(predictions)} clips could not be predicted: "
        f"{list_names(failed)}; the reasons are in the output"
    )


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    shown = ", ".join(names[:MAX_NAMES])
    others = len(names) - MAX_NAMES
    return f"{shown} and {others} more" if others > 0 else shown
