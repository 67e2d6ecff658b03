"""Leaks between training and test in a store, and other threats to a fair result.

The same recording under two speakers is seen in training and again in the test: a
leak. The same recording under two names of one speaker stays on one side of every
fold. It counts twice, or has two labels, so it is a warning.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int64

from mmder_prep.quality.duplicates import MATCH_KINDS, DuplicateGroup, find_duplicates
from mmder_prep.speaker_names import similarity_key
from mmder_store.protocols import FoldProtocol
from mmder_store.store import Store

if TYPE_CHECKING:
    from rich.table import Table

USABLE = ("ok", "no_face")
"""Statuses of clips that have both video and audio."""
MAX_NAMES = 6
"""Maximum number of names to print."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A property of the store that makes results on it questionable."""

    kind: Literal["speakers", "duplicates", "labels", "classes", "emotions"]
    leak: bool
    """True if training and test of a fold share data; False for a warning."""
    line: str
    """Description in one line, with the names of the clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Number of clips per class in each part of a protocol."""

    protocol: str
    """Name of the protocol. Empty if the store has none; then there is one part."""
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    """Number of clips per class, by fold or part that is never tested."""


def findings(store: Store) -> list[Finding]:
    """Return all findings, leaks first.

    Raises:
        StoreError: If an array cannot be read.
    """
    duplicates, same_audio = find_duplicates(store)
    found = [
        *_speakers(store),
        *(_duplicate(store, group) for group in duplicates),
        *_labels(store, same_audio),
        *_classes(store),
        *_emotions(store),
    ]
    return sorted(found, key=lambda f: not f.leak)


def balances(store: Store) -> list[Balance]:
    """Count the usable clips per class of the first label set, for each protocol."""
    labels = store.spec.label_sets[0]
    usable = np.isin(store.columns["status"].astype(str), USABLE)
    label = np.array([labels.label(e) for e in store.columns[labels.column]])
    speakers = store.columns["speaker"]
    protocols = [(p.name, _parts(p)) for p in store.spec.protocols]
    return [
        Balance(
            protocol=name,
            classes=labels.classes,
            counts={
                part: _count(
                    label[usable & [part in parts_of.get(s, ()) for s in speakers]],
                    len(labels.classes),
                )
                for part in sorted(
                    set().union(*parts_of.values()), key=lambda p: (len(p), p)
                )
            },
        )
        for name, parts_of in protocols or [("", {s: {"all"} for s in speakers})]
    ]


def _count(label: Int64[np.ndarray, " clip"], classes: int) -> tuple[int, ...]:
    """Count the clips per class; clips without a class have label -1."""
    return tuple(np.bincount(label[label >= 0], minlength=classes).tolist())


def table(balance: Balance) -> "Table":
    """Return a balance as a table to print."""
    from rich.table import Table

    rich_table = Table(title=balance.protocol or "all clips")
    for name in ("", *balance.classes, "all"):
        rich_table.add_column(name, justify="right" if name else "left")
    for part, counts in balance.counts.items():
        rich_table.add_row(part, *map(str, counts), str(sum(counts)))
    return rich_table


def _parts(protocol: FoldProtocol) -> dict[str, set[str]]:
    """Return the parts of a protocol that each speaker is in.

    Parts are the test folds, and the sets of speakers that are never tested.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for speaker, fold in protocol.fold_of.items():
        parts[speaker].add(f"fold {fold}")
    for speaker in protocol.only_trained:
        parts[speaker].add("training only")
    for speaker in protocol.held_out:
        parts[speaker].add("held out")
    return dict(parts)


def _speakers(store: Store) -> Iterator[Finding]:
    """Find speakers in several parts of a protocol or in none, and similar names."""
    speakers = sorted(set(store.columns["speaker"]))
    for protocol in store.spec.protocols:
        parts_of = _parts(protocol)
        for speaker in speakers:
            if len(parts := parts_of.get(speaker, set())) > 1:
                line = f"{protocol.name}: speaker {speaker} is in {_join(parts)}"
                yield Finding(kind="speakers", leak=True, line=line)
        if missing := [s for s in speakers if s not in parts_of]:
            line = f"{protocol.name}: speakers without a fold: {_join(missing)}"
            yield Finding(kind="speakers", leak=False, line=line)
    similar: dict[str, list[str]] = defaultdict(list)
    for speaker in speakers:
        similar[similarity_key(speaker)].append(speaker)
    for names in similar.values():
        if len(names) > 1:
            line = f"speakers {_join(names)}: differ only in spelling"
            yield Finding(kind="speakers", leak=False, line=line)


def _duplicate(store: Store, group: DuplicateGroup) -> Finding:
    """Describe a group of duplicates; it is a leak if the speakers differ."""
    speakers = sorted({store.columns["speaker"][row] for row in group.rows})
    owners = f"all of speaker {speakers[0]}"
    if len(speakers) > 1:
        owners = f"of speakers {_join(speakers)}"
    separated = []
    for protocol in store.spec.protocols:
        parts_of = _parts(protocol)
        parts = set().union(*(parts_of.get(s, set()) for s in speakers))
        if len(parts) > 1:
            separated.append(f"{protocol.name} has them in {_join(parts)}")
    matches = ", ".join(MATCH_KINDS[kind] for kind in group.match_kinds)
    line = "; ".join([f"{_clips(store, group)}: {matches}, {owners}", *separated])
    return Finding(kind="duplicates", leak=len(speakers) > 1, line=line)


def _labels(store: Store, same_audio: Iterable[DuplicateGroup]) -> Iterator[Finding]:
    """Find clips with the same audio and different emotions."""
    for group in same_audio:
        emotions = {store.columns["emotion"][row] for row in group.rows} - {""}
        if len(emotions) > 1:
            line = f"{_clips(store, group)}: same audio, labeled {_join(emotions)}"
            yield Finding(kind="labels", leak=False, line=line)


def _classes(store: Store) -> Iterator[Finding]:
    """Find parts of a protocol that lack a class."""
    for balance in balances(store):
        for part, counts in balance.counts.items():
            absent = [c for c, n in zip(balance.classes, counts, strict=True) if not n]
            if absent:
                what = f"no clips of {_join(absent)}" if any(counts) else "no clips"
                line = f"{balance.protocol or 'all clips'}, {part}: {what}"
                yield Finding(kind="classes", leak=False, line=line)


def _emotions(store: Store) -> Iterator[Finding]:
    """Find clips without an emotion."""
    unlabeled = store.columns["clip_id"][store.columns["emotion"] == ""]
    if len(unlabeled):
        number = f"{len(unlabeled)} of {len(store)} clips"
        line = f"{number} have no emotion: {_join(unlabeled)}"
        yield Finding(kind="emotions", leak=False, line=line)


def _clips(store: Store, group: DuplicateGroup) -> str:
    """Return the names of the clips in a group."""
    return _join(store.columns["clip_id"][list(group.rows)])


def _join(names: Iterable[str]) -> str:
    """Join sorted names, and count those beyond `MAX_NAMES`."""
    all_names = sorted(names)
    hidden = len(all_names) - MAX_NAMES
    more = f" and {hidden} more" if hidden > 0 else ""
    return ", ".join(all_names[:MAX_NAMES]) + more
