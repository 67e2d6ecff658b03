"""Would a result on this store be honest? What one side of a fold knows of the other.

What is the same under two speakers is seen in training and met again in the test: a
leak. The same under two names of one speaker stays on one side of every fold; it
counts twice, or has two labels: a warning.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int64

from mmder_prep.quality.duplicates import MATCH_KINDS, DuplicateGroup, find_duplicates
from mmder_store.protocols import FoldProtocol
from mmder_store.store import Store

if TYPE_CHECKING:
    from rich.table import Table

USABLE = ("ok", "no_face")
"""Statuses of clips that have both picture and sound."""
MAX_NAMES = 6
"""Names shown of a longer list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that a result on this store should not rest on."""

    kind: Literal["speakers", "copies", "labels", "classes", "emotions"]
    leak: bool
    """One side of a fold knows of the other; else a warning."""
    line: str
    """What it is, with the names of the clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """How many clips of each class are in each fold of a protocol."""

    protocol: str
    """Empty where the store names none; all clips are then in one line."""
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    """Fold, or the side that is never tested, to clips of each class."""


def findings(store: Store) -> list[Finding]:
    """Find all of it, leaks first.

    Raises:
        StoreError: If an array cannot be read.
    """
    takes, sounds = find_duplicates(store)
    found = [
        *_speakers(store),
        *(_copy(store, take) for take in takes),
        *_labels(store, sounds),
        *_classes(store),
        *_emotions(store),
    ]
    return sorted(found, key=lambda f: not f.leak)


def balances(store: Store) -> list[Balance]:
    """Count the usable clips by the classes of the first label set."""
    labels = store.spec.label_sets[0]
    usable = np.isin(store.columns["status"].astype(str), USABLE)
    label = np.array([labels.label(e) for e in store.columns[labels.column]])
    speakers = store.columns["speaker"]
    named = [(p.name, _places(p)) for p in store.spec.protocols]
    return [
        Balance(
            protocol=name,
            classes=labels.classes,
            counts={
                place: _count(
                    label[usable & [place in place_of.get(s, ()) for s in speakers]],
                    len(labels.classes),
                )
                for place in sorted(
                    set().union(*place_of.values()), key=lambda p: (len(p), p)
                )
            },
        )
        for name, place_of in named or [("", {s: {"all"} for s in speakers})]
    ]


def _count(label: Int64[np.ndarray, " clip"], classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(label[label >= 0], minlength=classes).tolist())


def table(balance: Balance) -> "Table":
    """Lay a balance out, for a person to read."""
    from rich.table import Table

    laid = Table(title=balance.protocol or "all clips")
    for name in ("", *balance.classes, "all"):
        laid.add_column(name, justify="right" if name else "left")
    for place, counts in balance.counts.items():
        laid.add_row(place, *map(str, counts), str(sum(counts)))
    return laid


def _places(protocol: FoldProtocol) -> dict[str, set[str]]:
    """Give every speaker's folds in a protocol, and the sides that are not tested."""
    found: dict[str, set[str]] = defaultdict(set)
    for speaker, fold in protocol.fold_of.items():
        found[speaker].add(f"fold {fold}")
    for speaker in protocol.only_trained:
        found[speaker].add("only trained")
    for speaker in protocol.held_out:
        found[speaker].add("held out")
    return dict(found)


def _speakers(store: Store) -> Iterator[Finding]:
    """Look for speakers in two places of a protocol, or in none."""
    here = sorted(set(store.columns["speaker"]))
    for protocol in store.spec.protocols:
        place_of = _places(protocol)
        for speaker in here:
            if len(places := place_of.get(speaker, set())) > 1:
                line = f"{protocol.name}: speaker {speaker} in {_listed(places)}"
                yield Finding(kind="speakers", leak=True, line=line)
        if stray := [s for s in here if s not in place_of]:
            line = f"{protocol.name}: no place for speakers {_listed(stray)}"
            yield Finding(kind="speakers", leak=False, line=line)
    spelt: dict[str, list[str]] = defaultdict(list)
    for speaker in here:
        spelt[speaker.casefold().lstrip("0")].append(speaker)
    for names in spelt.values():
        if len(names) > 1:
            line = f"speakers {_listed(names)}: apart by zeros or capitals only"
            yield Finding(kind="speakers", leak=False, line=line)


def _copy(store: Store, take: DuplicateGroup) -> Finding:
    """Tell of clips that are one; a leak where they are of two speakers."""
    speakers = sorted({store.columns["speaker"][row] for row in take.rows})
    who = f"all of speaker {speakers[0]}"
    if len(speakers) > 1:
        who = f"of speakers {_listed(speakers)}"
    apart = []
    for protocol in store.spec.protocols:
        place_of = _places(protocol)
        places = set().union(*(place_of.get(s, set()) for s in speakers))
        if len(places) > 1:
            apart.append(f"{protocol.name} has them in {_listed(places)}")
    how = ", ".join(MATCH_KINDS[way] for way in take.match_kinds)
    line = "; ".join([f"{_clips(store, take)}: {how}, {who}", *apart])
    return Finding(kind="copies", leak=len(speakers) > 1, line=line)


def _labels(store: Store, sounds: Iterable[DuplicateGroup]) -> Iterator[Finding]:
    """Look for one sound with two emotions."""
    for take in sounds:
        emotions = {store.columns["emotion"][row] for row in take.rows} - {""}
        if len(emotions) > 1:
            line = f"{_clips(store, take)}: one sound, labelled {_listed(emotions)}"
            yield Finding(kind="labels", leak=False, line=line)


def _classes(store: Store) -> Iterator[Finding]:
    """Look for folds without a class."""
    for balance in balances(store):
        for place, counts in balance.counts.items():
            lacks = [c for c, n in zip(balance.classes, counts, strict=True) if not n]
            if lacks:
                what = "no clip at all" if not any(counts) else "no " + _listed(lacks)
                line = f"{balance.protocol or 'all clips'}, {place}: {what}"
                yield Finding(kind="classes", leak=False, line=line)


def _emotions(store: Store) -> Iterator[Finding]:
    """Look for clips without an emotion."""
    bare = store.columns["clip_id"][store.columns["emotion"] == ""]
    if len(bare):
        line = f"without an emotion, {len(bare)} of {len(store)}: {_listed(bare)}"
        yield Finding(kind="emotions", leak=False, line=line)


def _clips(store: Store, take: DuplicateGroup) -> str:
    return _listed(store.columns["clip_id"][list(take.rows)])


def _listed(names: Iterable[str]) -> str:
    """Join names in their order, the first of many."""
    all_names = sorted(names)
    more = len(all_names) - MAX_NAMES
    return ", ".join(all_names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
