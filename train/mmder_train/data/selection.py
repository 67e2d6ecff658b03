"""TODO."""

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
    """Row in the store."""
    clip_id: tuple[str, ...]
    speaker: tuple[str, ...]
    label: Int64[np.ndarray, " clip"]
    """Position of the class in the label set."""
    excluded: dict[str, int]
    """Clips of the store that are not used, by reason."""


def accepted_statuses(strategy: Strategy) -> frozenset[str]:
    """Name the statuses of clips that a strategy can use."""
    serves = {"ok"}
    serves |= set() if strategy.frames else {"no_face", "no_video"}
    serves |= set() if strategy.windows else {"no_audio"}
    return frozenset(serves)


def select_clips(
    store: Store, *, strategy: Strategy, labels: LabelSet
) -> ClipSelection:
    """Choose clips by their status and their emotion.

    Status ``ok`` always serves; ``no_face`` and ``no_video`` where no pictures are
    taken; ``no_audio`` where no sound is. All others are left out, and so are clips
    whose emotion has no class in the label set.

    Raises:
        SettingsError: If the store has no pictures and the strategy needs them, or
            no clip is left.
    """
    if strategy.frames and "frames" not in store:
        msg = (
            f"--strategy {strategy.name}: needs pictures, and store "
            f"{store.path.name} has sound alone. Say --strategy audio."
        )
        raise SettingsError(msg)
    serves = accepted_statuses(strategy)
    columns = store.columns
    emotions = columns[labels.column]
    label = [labels.label(e) for e in emotions]
    reasons = [
        str(status)
        if status not in serves
        else f"no class for {emotion!r} in {labels.name}"
        if number < 0
        else ""
        for status, emotion, number in zip(
            columns["status"], emotions, label, strict=True
        )
    ]
    row = np.array([i for i, why in enumerate(reasons) if not why], dtype=np.int64)
    left_out = dict(sorted(Counter(filter(None, reasons)).items()))
    if not len(row):
        why = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
        msg = f"store {store.path.name}: no clip for {strategy.name} ({why})"
        raise SettingsError(msg)
    return ClipSelection(
        row=row,
        clip_id=tuple(str(columns["clip_id"][i]) for i in row),
        speaker=tuple(str(columns["speaker"][i]) for i in row),
        label=np.array(label, dtype=np.int64)[row],
        excluded=left_out,
    )


def select_encodable(store: Store, *, strategy: Strategy) -> ClipSelection:
    """Choose the clips that serve a strategy with any label set of the store.

    Their labels are -1: it is not said which set counts.
    """
    serves, columns = accepted_statuses(strategy), store.columns
    row = np.array(
        [
            i
            for i, status in enumerate(columns["status"])
            if status in serves
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


def excluded_text(left_out: dict[str, int]) -> str:
    """Say how many clips are not used and why."""
    parts: Sequence[str] = [f"{n} {why}" for why, n in left_out.items()]
    return f"{sum(left_out.values())} clips left out: {', '.join(parts)}"
