"""Cross-validation folds by speaker.

Pure functions from the clips' speakers to clip indices, without file access. A fold
tests some speakers and trains on all others: no speaker is ever on both sides.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64

from mmder_store.errors import SettingsError
from mmder_store.protocols import FoldProtocol, SpeakerSeparation

SPEAKER_FOLDS = 5
SPEAKERS = f"speakers-{SPEAKER_FOLDS}"
"""Name of the protocol that works for any store."""


def _no_clips() -> Int64[np.ndarray, "0"]:
    return np.array([], dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """The test clips and the training clips of a fold."""

    number: int
    """Number of the fold in the protocol, from 1. 0 for training on all clips."""
    speakers: tuple[str, ...]
    """Test speakers."""
    train: Int64[np.ndarray, " train"]
    """Indices of the training clips, ascending."""
    test: Int64[np.ndarray, " test"]
    """Indices of the test clips, ascending."""
    val_speakers: tuple[str, ...] = ()
    """Training speakers held out to select the epoch."""
    val: Int64[np.ndarray, " val"] = field(default_factory=_no_clips)
    """Indices of the clips of `val_speakers`, ascending; they are not trained on."""

    @property
    def title(self) -> str:
        """Name for messages."""
        return f"fold {self.number}" if self.number else "all clips"


def contiguous(speakers: Sequence[str]) -> FoldProtocol:
    """Return a protocol of at most five contiguous groups of the sorted speakers."""
    names = sorted(set(speakers))
    number = max(1, min(SPEAKER_FOLDS, len(names)))
    parts = np.array_split(np.arange(len(names)), number)
    return FoldProtocol(
        name=SPEAKERS,
        fold_of={names[i]: k for k, part in enumerate(parts, start=1) for i in part},
        source="speakers sorted by name, cut into contiguous groups",
    )


def choose_protocol(
    name: str | None, protocols: Sequence[FoldProtocol], speakers: Sequence[str]
) -> FoldProtocol:
    """Return the protocol of this name, or the store's first if the name is None.

    Args:
        name: Name of the protocol.
        protocols: Protocols of the store.
        speakers: Speakers with a clip that has a class. `speakers-5` deals only these
            to folds: a fold of other speakers would have no test clip.

    Raises:
        SettingsError: If the store has no protocol of this name.
    """
    known = {p.name: p for p in protocols}
    name = name or next(iter(known), SPEAKERS)
    if name in known:
        return known[name]
    if name == SPEAKERS:
        return contiguous(speakers)
    msg = f"--protocol {name}: this store has {', '.join([*known, SPEAKERS])}"
    raise SettingsError(msg)


def fold_numbers(
    speakers: Sequence[str], protocol: FoldProtocol
) -> Int64[np.ndarray, " clip"]:
    """Return the fold that tests each clip.

    It is 0 for a clip that every fold trains on, and -1 for a clip that no fold uses.

    Args:
        speakers: Speaker of each clip.
        protocol: Fold in which each speaker is tested, if any.
    """
    fold_of = {**dict.fromkeys(protocol.only_trained, 0), **protocol.fold_of}
    return np.array([fold_of.get(s, -1) for s in speakers], dtype=np.int64)


def speaker_separation(
    name: str, protocols: Sequence[FoldProtocol]
) -> SpeakerSeparation:
    """Return whether training and test share people, by the name of a protocol."""
    known: dict[str, SpeakerSeparation] = {p.name: p.speakers for p in protocols}
    return known.get(name, "apart")


def split(speakers: Sequence[str], protocol: FoldProtocol) -> tuple[Fold, ...]:
    """Return the folds that have test clips, in the order of their numbers.

    Args:
        speakers: Speaker of each clip.
        protocol: Fold in which each speaker is tested, if any.

    Raises:
        SettingsError: If the protocol does not list a speaker, if no clip is tested, or
            if no speaker remains to train on.
    """
    listed = {*protocol.fold_of, *protocol.only_trained, *protocol.held_out}
    unlisted = sorted(set(speakers) - listed)
    if unlisted:
        msg = (
            f"protocol {protocol.name}: no fold for speaker {unlisted[0]!r} "
            f"({len(unlisted)} such). Use --protocol {SPEAKERS}."
        )
        raise SettingsError(msg)
    fold = fold_numbers(speakers, protocol)
    numbers = [k for k in np.unique(fold) if k > 0]
    if not numbers:
        msg = f"protocol {protocol.name}: this store has no clip of a test speaker"
        raise SettingsError(msg)
    if len(np.unique(fold[fold >= 0])) < 2:
        names = sorted(set(speakers))
        source = f"speaker {names[0]!r}" if len(names) == 1 else "speakers of one fold"
        msg = (
            f"protocol {protocol.name}: all clips are of {source}, "
            "so no other speaker remains to train on. At least two speakers are needed."
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


def whole(clips: int) -> Fold:
    """Return a fold that trains on all clips and tests none of them.

    Args:
        clips: Number of clips.
    """
    return Fold(number=0, speakers=(), train=np.arange(clips), test=_no_clips())


def select_folds(
    folds: Sequence[Fold], number: int | None, protocol: FoldProtocol
) -> tuple[Fold, ...]:
    """Return the fold of this number, or all folds if the number is None.

    Raises:
        SettingsError: If the fold has no clips in this store.
    """
    selected = tuple(f for f in folds if number in (None, f.number))
    if not selected:
        numbers = ", ".join(str(f.number) for f in folds)
        total = max(protocol.fold_of.values())
        msg = (
            f"--fold {number}: no clips in this store; protocol {protocol.name} has "
            f"folds 1 to {total}, of which {numbers} have clips"
        )
        raise SettingsError(msg)
    return selected


def with_validation(fold: Fold, speakers: Sequence[str], *, seed: int) -> Fold:
    """Return a fold with a fifth of its training speakers held out for validation.

    At least one speaker is held out. The speakers are drawn from the seed and the
    fold's number. The test clips are unchanged and have no part in the choice of the
    epoch.

    Args:
        fold: Fold from `split`.
        speakers: Speaker of each clip.
        seed: Seed of the run.

    Raises:
        SettingsError: If no speaker would remain to train on.
    """
    names = sorted({speakers[i] for i in fold.train})
    if len(names) < 2:
        msg = (
            f"--val speakers: {fold.title} trains only on speaker {names[0]!r}; "
            "at least two are needed. Omit --val."
        )
        raise SettingsError(msg)
    count = max(1, round(len(names) / SPEAKER_FOLDS))
    drawn = np.random.default_rng([seed, fold.number]).permutation(len(names))[:count]
    held_out = {names[i] for i in drawn}
    is_val = np.array([speakers[i] in held_out for i in fold.train])
    return replace(
        fold,
        train=fold.train[~is_val],
        val=fold.train[is_val],
        val_speakers=tuple(sorted(held_out)),
    )


def fold_warnings(
    folds: Sequence[Fold],
    protocol: FoldProtocol,
    labels: Int64[np.ndarray, " clip"],
    classes: Sequence[str],
) -> list[str]:
    """Return warnings about missing folds, missing speakers and untrained classes."""
    present = {f.number: f for f in folds}
    sizes = Counter(protocol.fold_of.values())
    lines = [
        f"fold {k} of {protocol.name}: no clips in this store, skipped"
        for k in sorted(sizes.keys() - present.keys())
    ]
    if protocol.speakers == "unknown":
        lines.append(
            f"{protocol.name} splits clips of unknown speakers: the same person can be "
            "in training and test"
        )
    if protocol.held_out:
        lines.append(
            f"{protocol.name} holds out speakers {', '.join(protocol.held_out)} for "
            "validation: not trained on, not tested"
        )
    lines += [
        f"fold {k} of {protocol.name}: {len(f.speakers)} of its {sizes[k]} speakers"
        for k, f in present.items()
        if len(f.speakers) < sizes[k]
    ]
    for k, f in present.items():
        unseen = set(labels[f.test].tolist()) - set(labels[f.train].tolist())
        names = ", ".join(classes[i] for i in sorted(unseen))
        if unseen:
            lines.append(f"fold {k}: tests {names}, without any training clip")
    return lines
