"""Clips of a pre-training: from one or several stores, without excluded speakers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.data.clip_hashes import clip_hashes
from mmder_train.data.folds import SPEAKERS, choose_protocol
from mmder_train.data.selection import (
    ClipSelection,
    accepted_statuses,
    labeled_speakers,
)
from mmder_train.data.stored_arrays import spectrogram_array
from mmder_train.fusion.strategies import Strategy
from mmder_train.weights.seen_clips import SeenClips

Speaker = tuple[str, str]
"""A corpus and the name of a speaker in it."""


@dataclass(frozen=True, kw_only=True)
class ClipPool:
    """Clips of several stores, numbered together in the order of the stores."""

    stores: tuple[Store, ...]
    selections: tuple[ClipSelection, ...]
    """Clips of each store."""
    speakers: tuple[Speaker, ...]
    """Corpus and speaker of each clip."""
    train: Int64[np.ndarray, " train"]
    """Positions of the clips that are trained on, ascending."""
    val: Int64[np.ndarray, " val"]
    """Positions of the clips of held-out speakers, ascending."""
    excluded: dict[str, int]
    """Number of unused clips per reason."""

    @property
    def clip_id(self) -> tuple[str, ...]:
        """Name of each clip. Clips of two stores may have the same name."""
        return tuple(c for s in self.selections for c in s.clip_id)

    @property
    def val_speakers(self) -> tuple[Speaker, ...]:
        """Speakers that are held out, sorted."""
        return tuple(sorted({self.speakers[i] for i in self.val}))

    def seen(self) -> SeenClips:
        """Return the clips that are trained on, for the weights."""
        hashes = [
            h
            for store, selection in zip(self.stores, self.selections, strict=True)
            for h in clip_hashes(store, selection.row.tolist())
        ]
        speakers: dict[str, set[str]] = {}
        for i in self.train:
            corpus, name = self.speakers[i]
            speakers.setdefault(corpus, set()).add(name)
        return SeenClips(
            clips=len(self.train),
            hashes=frozenset(h for i in self.train for h in hashes[i]),
            speakers={c: tuple(sorted(names)) for c, names in speakers.items()},
        )


def gather_clips(
    stores: Sequence[Store],
    *,
    strategy: Strategy,
    spectrogram: str,
    excluded: frozenset[Speaker] = frozenset(),
    val_fraction: float = 0.0,
    seed: int = 0,
) -> ClipPool:
    """Select the clips of all stores that a strategy can use. Labels are not needed.

    Clips of excluded speakers are left out, and so are copies of them: clips that share
    a hash with one of them.

    Args:
        stores: Sealed stores whose clips have arrays of the same shape.
        strategy: Strategy of the input.
        spectrogram: Type of spectrogram that represents the audio.
        excluded: Speakers to leave out.
        val_fraction: Fraction of the speakers that are held out, at least one unless
            it is 0 or there is only one speaker.
        seed: Seed of the held-out speakers.

    Raises:
        SettingsError: If the stores do not fit each other, or no clip remains.
    """
    _check_same_shape(stores, strategy, spectrogram)
    copies = {
        h
        for store in stores
        for hashes in clip_hashes(store, _rows_of(store, excluded))
        for h in hashes
    }
    reasons: Counter[str] = Counter()
    selections = [
        _select(store, strategy, excluded, copies, reasons) for store in stores
    ]
    speakers = tuple(
        (store.spec.corpus, name)
        for store, selection in zip(stores, selections, strict=True)
        for name in selection.speaker
    )
    if not speakers:
        counts = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))
        msg = f"--store: no clip for {strategy.name} ({counts})"
        raise SettingsError(msg)
    held_out = _draw_speakers(sorted(set(speakers)), val_fraction, seed)
    is_val = np.array([s in held_out for s in speakers])
    return ClipPool(
        stores=tuple(stores),
        selections=tuple(selections),
        speakers=speakers,
        train=np.flatnonzero(~is_val),
        val=np.flatnonzero(is_val),
        excluded=dict(sorted(reasons.items())),
    )


def excluded_speakers(
    stores: Sequence[Store],
    *,
    names: Sequence[str] = (),
    fold: int | None = None,
    protocol: str = "",
) -> frozenset[Speaker]:
    """Return the speakers that a pre-training must not see.

    Args:
        stores: Sealed stores.
        names: Names of speakers. A name is excluded from every corpus that has it.
        fold: Fold whose test speakers are excluded.
        protocol: Protocol of the fold. Empty for the first of the only store. Stores
            without this protocol are not affected.

    Raises:
        SettingsError: If a speaker, the protocol or the fold does not exist.
    """
    present = {
        (store.spec.corpus, str(name))
        for store in stores
        for name in store.columns["speaker"]
    }
    unknown = sorted(set(names) - {name for _, name in present})
    if unknown:
        known = sorted({name for _, name in present})
        shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        msg = f"--exclude-speakers {unknown[0]}: no such speaker; there are {shown}"
        raise SettingsError(msg)
    excluded = {s for s in present if s[1] in names}
    if fold is not None:
        if not protocol and len(stores) > 1:
            msg = "--exclude-fold: with several stores, name its protocol: --protocol"
            raise SettingsError(msg)
        tested = _fold_speakers(stores, fold, protocol)
        # The same corpus may be in two stores, of which one lacks the protocol.
        excluded |= present & tested
    return frozenset(excluded)


def _fold_speakers(
    stores: Sequence[Store], fold: int, protocol: str
) -> frozenset[Speaker]:
    """Return the test speakers of a fold, by corpus."""
    tested: set[Speaker] = set()
    numbers: set[int] = set()
    for store in stores:
        names = {p.name for p in store.spec.protocols}
        sets = store.spec.label_sets
        if protocol and protocol not in (*names, SPEAKERS):
            continue
        if not names and not sets:
            continue
        speakers = labeled_speakers(store, sets[0]) if sets else []
        chosen = choose_protocol(protocol, store.spec.protocols, speakers)
        numbers |= set(chosen.fold_of.values())
        tested |= {
            (store.spec.corpus, name)
            for name, number in chosen.fold_of.items()
            if number == fold
        }
    if not numbers:
        known = sorted({p.name for s in stores for p in s.spec.protocols})
        msg = (
            f"--protocol {protocol or SPEAKERS}: no store has it; they have "
            f"{', '.join(known) or 'no protocols and no labels'}"
        )
        raise SettingsError(msg)
    if not tested:
        msg = f"--exclude-fold {fold}: the protocol has folds 1 to {max(numbers)}"
        raise SettingsError(msg)
    return frozenset(tested)


def _check_same_shape(
    stores: Sequence[Store], strategy: Strategy, spectrogram: str
) -> None:
    """Raise if the arrays of two stores cannot be in one batch."""
    first, name = stores[0], spectrogram_array(strategy, spectrogram)
    for store in stores:
        if strategy.frames and "frames" not in store:
            msg = (
                f"--strategy {strategy.name}: needs video, and store "
                f"{store.path.name} has only audio. Use --strategy audio."
            )
            raise SettingsError(msg)
        if name is None:
            continue
        shape, expected = store.row_shape(name), first.row_shape(name)
        rates = [s.spec.settings.sample_rate_hz for s in (store, first)]
        if shape != expected or rates[0] != rates[1]:
            msg = (
                f"--store {store.path}: {name} is {shape} at {rates[0]} Hz, and "
                f"{expected} at {rates[1]} Hz in {first.path}. Prepare both with the "
                "same settings."
            )
            raise SettingsError(msg)


def _rows_of(store: Store, speakers: frozenset[Speaker]) -> list[int]:
    """Return the rows of some speakers."""
    corpus = store.spec.corpus
    return [
        row
        for row, name in enumerate(store.columns["speaker"])
        if (corpus, str(name)) in speakers
    ]


def _select(
    store: Store,
    strategy: Strategy,
    excluded: frozenset[Speaker],
    copies: set[str],
    reasons: Counter[str],
) -> ClipSelection:
    """Select the clips of one store, and count the others by reason."""
    columns, accepted = store.columns, accepted_statuses(strategy)
    hashes = clip_hashes(store, range(len(store))) if copies else []
    rows = []
    for row, (status, name) in enumerate(
        zip(columns["status"], columns["speaker"], strict=True)
    ):
        if status not in accepted:
            reasons[str(status)] += 1
        elif (store.spec.corpus, str(name)) in excluded:
            reasons["of excluded speakers"] += 1
        elif copies and not copies.isdisjoint(hashes[row]):
            reasons["copies of clips of excluded speakers"] += 1
        else:
            rows.append(row)
    return ClipSelection(
        row=np.array(rows, dtype=np.int64),
        clip_id=tuple(str(columns["clip_id"][i]) for i in rows),
        speaker=tuple(str(columns["speaker"][i]) for i in rows),
        label=np.full(len(rows), -1),
        excluded={},
    )


def _draw_speakers(
    speakers: Sequence[Speaker], fraction: float, seed: int
) -> frozenset[Speaker]:
    """Draw the held-out speakers. At least one speaker remains."""
    if not fraction or len(speakers) < 2:
        return frozenset()
    count = min(len(speakers) - 1, max(1, round(len(speakers) * fraction)))
    drawn = np.random.default_rng([seed, len(speakers)]).permutation(len(speakers))
    return frozenset(speakers[i] for i in drawn[:count])
