"""Who is tested when. Speakers in, positions out; nothing here opens a file.

A fold tests some speakers and trains on all others: no speaker is ever on both sides.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64

from mmder_store.errors import SettingsError
from mmder_store.protocols import FoldProtocol

SPEAKER_FOLDS = 5
SPEAKERS = f"speakers-{SPEAKER_FOLDS}"
"""Name of the protocol that any store can serve."""


def _no_clips() -> Int64[np.ndarray, "0"]:
    return np.array([], dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One test side and its train side."""

    number: int
    """As in the protocol, from 1."""
    speakers: tuple[str, ...]
    """Who is tested."""
    train: Int64[np.ndarray, " train"]
    """Positions of the clips trained on, ascending."""
    test: Int64[np.ndarray, " test"]
    """Positions of the clips tested, ascending."""
    val_speakers: tuple[str, ...] = ()
    """Who of the train side is kept for choosing the epoch."""
    val: Int64[np.ndarray, " val"] = field(default_factory=_no_clips)
    """Positions of their clips, ascending; not trained on."""


def contiguous(speakers: Sequence[str]) -> FoldProtocol:
    """Cut the sorted speakers into at most five groups of neighbours."""
    names = sorted(set(speakers))
    parts = np.array_split(np.arange(len(names)), min(SPEAKER_FOLDS, len(names)))
    return FoldProtocol(
        name=SPEAKERS,
        fold_of={names[i]: k for k, part in enumerate(parts, start=1) for i in part},
        source="speakers in the order of their names, cut into groups of neighbours",
    )


def choose_protocol(
    name: str | None, protocols: Sequence[FoldProtocol], speakers: Sequence[str]
) -> FoldProtocol:
    """Give the protocol of this name; without a name the store's first.

    Raises:
        SettingsError: If the store names no such protocol.
    """
    known = {p.name: p for p in protocols}
    name = name or next(iter(known), SPEAKERS)
    if name in known:
        return known[name]
    if name == SPEAKERS:
        return contiguous(speakers)
    msg = f"--protocol {name}: this store has {', '.join([*known, SPEAKERS])}"
    raise SettingsError(msg)


def split(speakers: Sequence[str], protocol: FoldProtocol) -> tuple[Fold, ...]:
    """Give the folds that have a clip, in the order of their numbers.

    Args:
        speakers: Speaker of every clip.
        protocol: Who is tested in which fold, who in none.

    Raises:
        SettingsError: If a speaker has no place in the protocol, nobody is tested, or
            nobody else is left to train on.
    """
    place = {
        **dict.fromkeys(protocol.only_trained, 0),
        **dict.fromkeys(protocol.held_out, -1),
        **protocol.fold_of,
    }
    stray = sorted(set(speakers) - set(place))
    if stray:
        msg = (
            f"protocol {protocol.name}: no fold for speaker {stray[0]!r} "
            f"({len(stray)} such). Say --protocol {SPEAKERS}."
        )
        raise SettingsError(msg)
    fold = np.array([place[s] for s in speakers], dtype=np.int64)
    numbers = [k for k in np.unique(fold) if k > 0]
    if not numbers:
        msg = f"protocol {protocol.name}: no clip of a speaker whom it tests"
        raise SettingsError(msg)
    if len(np.unique(fold[fold >= 0])) < 2:
        who = sorted(set(speakers))
        msg = (
            f"protocol {protocol.name}: all clips are of "
            f"{f'speaker {who[0]!r}' if len(who) == 1 else 'speakers of one fold'}, "
            "so nobody else is left to train on. At least two speakers are needed."
        )
        raise SettingsError(msg)
    folds = tuple(
        Fold(
            number=int(k),
            speakers=tuple(
                sorted({s for s, f in zip(speakers, fold, strict=True) if f == k})
            ),
            train=np.flatnonzero((fold >= 0) & (fold != k)),
            test=np.flatnonzero(fold == k),
        )
        for k in numbers
    )
    for one in folds:
        both = set(one.speakers) & {speakers[i] for i in one.train}
        assert not both, f"speakers on both sides: {both}"
    return folds


def select_folds(
    folds: Sequence[Fold], number: int | None, protocol: FoldProtocol
) -> tuple[Fold, ...]:
    """Give the fold of this number, or all.

    Raises:
        SettingsError: If that fold has no clips here.
    """
    found = tuple(f for f in folds if number in (None, f.number))
    if not found:
        numbers = ", ".join(str(f.number) for f in folds)
        total = max(protocol.fold_of.values())
        msg = (
            f"--fold {number}: no clips in this store; protocol {protocol.name} has "
            f"folds 1 to {total}, of which {numbers} have clips"
        )
        raise SettingsError(msg)
    return found


def with_validation(fold: Fold, speakers: Sequence[str], *, seed: int) -> Fold:
    """Keep a fifth of the train side's speakers, one at least, for validation.

    Who they are is drawn from the seed and the fold's number. The test side is as it
    was, and tells nothing of when to stop.

    Args:
        fold: From `split`.
        speakers: Speaker of every clip.
        seed: The run's.

    Raises:
        SettingsError: If nobody would be left to train on.
    """
    names = sorted({speakers[i] for i in fold.train})
    if len(names) < 2:
        msg = (
            f"--val speakers: fold {fold.number} trains on speaker {names[0]!r} alone; "
            "at least two are needed. Leave it out."
        )
        raise SettingsError(msg)
    kept = max(1, round(len(names) / SPEAKER_FOLDS))
    drawn = np.random.default_rng([seed, fold.number]).permutation(len(names))[:kept]
    who = {names[i] for i in drawn}
    inside = np.array([speakers[i] in who for i in fold.train])
    return replace(
        fold,
        train=fold.train[~inside],
        val=fold.train[inside],
        val_speakers=tuple(sorted(who)),
    )


def fold_warnings(
    folds: Sequence[Fold],
    protocol: FoldProtocol,
    labels: Int64[np.ndarray, " clip"],
    classes: Sequence[str],
) -> list[str]:
    """Say what is missing: folds, speakers of a fold, classes to train on."""
    found = {f.number: f for f in folds}
    sizes = Counter(protocol.fold_of.values())
    lines = [
        f"fold {k} of {protocol.name}: no clips in this store, left out"
        for k in sorted(sizes.keys() - found.keys())
    ]
    if protocol.held_out:
        lines.append(
            f"{protocol.name} keeps speakers {', '.join(protocol.held_out)} for "
            "validation: not trained on, not tested"
        )
    lines += [
        f"fold {k} of {protocol.name}: {len(f.speakers)} of its {sizes[k]} speakers"
        for k, f in found.items()
        if len(f.speakers) < sizes[k]
    ]
    for k, f in found.items():
        unseen = set(labels[f.test].tolist()) - set(labels[f.train].tolist())
        names = ", ".join(classes[i] for i in sorted(unseen))
        if unseen:
            lines.append(f"fold {k}: tests {names}, which nobody else shows")
    return lines
