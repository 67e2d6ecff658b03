"""Selection of a store's clips by status and emotion."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from mmder_store import LabelSet, Store
from mmder_store.errors import SettingsError
from mmder_train.fusion.strategies import Strategy


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSelection:
    """The clips of a store that a strategy and a label set can use."""

    row: Int64[np.ndarray, " clip"]
    """Row of each clip in the store."""
    clip_id: tuple[str, ...]
    speaker: tuple[str, ...]
    label: Int64[np.ndarray, " clip"]
    """Index of each clip's class in the label set."""
    excluded: dict[str, int]
    """Number of unused clips of the store per reason."""


def accepted_statuses(strategy: Strategy) -> frozenset[str]:
    """Return the statuses of the clips that a strategy can use."""
    accepted = {"ok"}
    accepted |= set() if strategy.frames else {"no_face", "no_video"}
    accepted |= set() if strategy.windows else {"no_audio"}
    return frozenset(accepted)


def select_clips(
    store: Store, *, strategy: Strategy, labels: LabelSet
) -> ClipSelection:
    """Select clips by their status and their emotion.

    Status ``ok`` is always accepted, ``no_face`` and ``no_video`` if the strategy takes
    no video, and ``no_audio`` if it takes no audio. All other clips are excluded, and
    so are clips whose emotion has no class in the label set.

    Raises:
        SettingsError: If the strategy needs video and the store has none, or if no clip
            remains.
    """
    if strategy.frames and "frames" not in store:
        msg = (
            f"--strategy {strategy.name}: needs video, and store "
            f"{store.path.name} has only audio. Use --strategy audio."
        )
        raise SettingsError(msg)
    accepted = accepted_statuses(strategy)
    columns = store.columns
    emotions = columns[labels.column]
    label = [labels.label(e) for e in emotions]
    reasons = [
        str(status)
        if status not in accepted
        else f"no class for {emotion!r} in {labels.name}"
        if number < 0
        else ""
        for status, emotion, number in zip(
            columns["status"], emotions, label, strict=True
        )
    ]
    row = np.array([i for i, reason in enumerate(reasons) if not reason], np.int64)
    excluded = dict(sorted(Counter(filter(None, reasons)).items()))
    if not len(row):
        counts = ", ".join(f"{n} {reason}" for reason, n in excluded.items())
        msg = f"store {store.path.name}: no clip for {strategy.name} ({counts})"
        raise SettingsError(msg)
    return ClipSelection(
        row=row,
        clip_id=tuple(str(columns["clip_id"][i]) for i in row),
        speaker=tuple(str(columns["speaker"][i]) for i in row),
        label=np.array(label, dtype=np.int64)[row],
        excluded=excluded,
    )


def choose_labels(store: Store, name: str) -> LabelSet:
    """Return the label set of this name, or the store's first if the name is empty.

    Raises:
        SettingsError: If the store has no label set of this name.
    """
    sets = {s.name: s for s in store.spec.label_sets}
    labels = sets.get(name or next(iter(sets), ""))
    if labels is None:
        msg = f"--labels {name}: this store has {', '.join(sets) or 'none'}"
        raise SettingsError(msg)
    return labels


def take_clips(
    clips: ClipSelection, positions: Int64[np.ndarray, " part"]
) -> ClipSelection:
    """Return the clips at some positions of a selection."""
    return ClipSelection(
        row=clips.row[positions],
        clip_id=tuple(clips.clip_id[i] for i in positions),
        speaker=tuple(clips.speaker[i] for i in positions),
        label=clips.label[positions],
        excluded=clips.excluded,
    )


def labeled_speakers(store: Store, labels: LabelSet) -> list[str]:
    """Return the speakers of clips with a class, sorted, for `choose_protocol`.

    Clips that failed do not count. The other statuses do, so that all strategies have
    the same folds.
    """
    columns = store.columns
    return sorted(
        {
            str(speaker)
            for speaker, emotion, status in zip(
                columns["speaker"],
                columns[labels.column],
                columns["status"],
                strict=True,
            )
            if status != "failed" and labels.label(emotion) >= 0
        }
    )


def select_encodable(store: Store, *, strategy: Strategy) -> ClipSelection:
    """Select the clips that a strategy can use with any label set of the store.

    Their labels are -1, since no label set is selected.
    """
    accepted, columns = accepted_statuses(strategy), store.columns
    row = np.array(
        [
            i
            for i, status in enumerate(columns["status"])
            if status in accepted
            and any(s.label(columns[s.column][i]) >= 0 for s in store.spec.label_sets)
        ],
        dtype=np.int64,
    )
    return ClipSelection(
        row=row,
        clip_id=tuple(str(columns["clip_id"][i]) for i in row),
        speaker=tuple(str(columns["speaker"][i]) for i in row),
        label=np.full(len(row), -1),
        excluded={},
    )


def excluded_text(excluded: dict[str, int]) -> str:
    """Return a line with the number of excluded clips and the reasons."""
    parts: Sequence[str] = [f"{n} {reason}" for reason, n in excluded.items()]
    return f"{sum(excluded.values())} clips excluded: {', '.join(parts)}"
