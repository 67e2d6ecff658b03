"""Python API of prediction: the emotion of new clips from their media files."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmder_train.data import coverage
from mmder_train.data.image_transforms import mirror
from mmder_train.data.modality_dropout import can_lack
from mmder_train.data.selection import accepted_statuses
from mmder_train.data.stored_arrays import load_arrays
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.types import Modality
from mmder_train.inference.clip_list import ClipList, find_clips
from mmder_train.inference.preprocessing import PreparedClip, prepare_clips
from mmder_train.inference.recordings import plan_recordings, prepare_recordings
from mmder_train.inference.trained_run import TrainedRun


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The predicted emotion of one clip."""

    clip: PreparedClip
    """The preprocessed clip. Its arrays are empty unless they were asked for."""
    probabilities: Mapping[str, float] | None
    """Probability of each class, in [0, 1] with a sum of 1. The order is that of
    `TrainedRun.classes`. None if the clip could not be predicted; `status` and `reason`
    then name the cause."""
    missing: Modality | None = None
    """Modality that the clip lacks and was predicted without. None if it has both, or
    was not predicted."""
    missing_note: str = ""
    """Remark on a prediction without a modality, empty for all others."""

    @property
    def clip_id(self) -> str:
        """Id of the clip, by default its file name without the suffix."""
        return self.clip.clip_id

    @property
    def label(self) -> str:
        """Id of the clip, and the bounds of a window of a recording."""
        if self.clip.window_s is None:
            return self.clip_id
        start_s, stop_s = self.clip.window_s
        stop = f"{stop_s:.1f}" if math.isfinite(stop_s) else "?"
        return f"{self.clip_id} {start_s:.1f}-{stop} s"

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
        if clip.window_s is not None:
            return clip.window_s
        stop_s = coverage.covered_stop_s(clip.start_s, clip.stop_s, clip.step_s)
        return clip.start_s, stop_s

    @property
    def is_truncated(self) -> bool:
        """True if the clip continues after the part that was judged."""
        if self.judged_s is None or self.clip.window_s is not None:
            return False
        return coverage.is_truncated(
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
    allow_missing_modality: bool = False,
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
        allow_missing_modality: Predict a clip that lacks audio or a face from the
            other modality, if the strategy uses both.
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
    predictions = predict_clips(
        prepared, trained_run, allow_missing_modality=allow_missing_modality
    )
    return predictions if keep_arrays else (p.without_arrays() for p in predictions)


def predict_clips(
    clips: Iterable[PreparedClip],
    trained_run: TrainedRun,
    *,
    allow_missing_modality: bool = False,
) -> Iterator[Prediction]:
    """Yield the predictions of preprocessed clips, in their order.

    Each clip is predicted as soon as it is prepared, on its own, so its probabilities
    do not depend on the other clips. Preparing a clip takes longer than predicting it.

    A clip whose status the strategy cannot use has the probabilities None. Training
    excludes the same clips.

    Args:
        clips: Clips from `prepare_clips`.
        trained_run: Models of a finished run.
        allow_missing_modality: Predict a clip that lacks audio or a face from the
            other modality, if the strategy uses both. The missing one is zero in the
            encoder's input, as with ``--drop-modality``.
    """
    accepted = accepted_statuses(trained_run.strategy)
    for clip in clips:
        missing = (
            lacking_modality(clip, trained_run) if allow_missing_modality else None
        )
        if clip.status not in accepted and missing is None:
            yield Prediction(clip=clip, probabilities=None)
            continue
        row = _predict_clip(clip, trained_run, missing)
        yield Prediction(
            clip=clip,
            probabilities=dict(zip(trained_run.classes, row, strict=True)),
            missing=missing,
            missing_note=trained_run.missing_note(missing) if missing else "",
        )


def lacking_modality(clip: PreparedClip, trained_run: TrainedRun) -> Modality | None:
    """Return the modality that a clip lacks if the strategy can do without it."""
    if len(clip.missing) != 1 or clip.status in accepted_statuses(trained_run.strategy):
        return None
    lacking = can_lack(trained_run.strategy, clip.missing)
    return lacking[0] if lacking else None


def _predict_clip(
    clip: PreparedClip, trained_run: TrainedRun, missing: Modality | None
) -> list[float]:
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
            dropped=[missing],
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


def predict_recordings(
    clips: ClipList,
    trained_run: TrainedRun,
    *,
    every_s: float,
    window_s: float | None = None,
    allow_missing_modality: bool = False,
    process: ProcessPoolExecutor | None = None,
) -> Iterator[Prediction]:
    """Predict windows that slide over recordings of any length.

    Each window is as long as the clips of the run, and is prepared and predicted as a
    clip of its own. Each recording is decoded once.

    Args:
        clips: Recordings from `find_clips`.
        trained_run: Models of a finished run.
        every_s: Distance between the starts of two windows.
        window_s: Length of a window, for a run on a store made with ``--step auto``.
        allow_missing_modality: See `predict_clips`.
        process: Process from `preprocessing.start_process`. None to start one.

    Returns:
        An iterator with one prediction per window, in order, with the arrays of its
        clip. The last window of a recording is the first that reaches its end. A window
        that cannot be predicted has the probabilities None, and its clip a reason.

    Raises:
        SettingsError: If a value is out of range, or a recording has its audio in a
            separate file.
    """
    settings = trained_run.prep_settings
    plans = plan_recordings(clips.clips, settings, every_s=every_s, window_s=window_s)
    prepared = prepare_recordings(clips.clips, plans, settings, process=process)
    return predict_clips(
        prepared, trained_run, allow_missing_modality=allow_missing_modality
    )
