"""Duplicate clips of a store, found by their source files and by their content."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmder_prep.quality.fingerprints import (
    AUDIO_CORRELATION,
    VIDEO_CORRELATION,
    Fingerprint,
    audio_fingerprint,
    correlated_pairs,
    video_fingerprint,
)
from mmder_store.store import Store

Pair = tuple[int, int]
MATCH_KINDS = {
    "file": "same time in the same file",
    "audio file": "same time in the same audio file",
    "frames": "same frames",
    "audio": "same audio",
    "frames re-encoded": "same frames re-encoded",
    "audio re-encoded": "same audio re-encoded",
}
"""Properties that two duplicate clips can share, with their descriptions."""
AUDIO_MATCH_KINDS = frozenset(("file", "audio file", "audio", "audio re-encoded"))
"""Kinds of match that imply the same audio."""
MAX_START_DIFFERENCE_S = 0.1
"""Clips of one file are duplicates if they start this close together: copies of the
same audio can have video whose first one or two frames are cut off."""
VIDEO_STATUSES = ("ok", "no_face", "no_audio")
"""Statuses of clips that have video."""
AUDIO_STATUSES = ("ok", "no_face", "no_video")
"""Statuses of clips that have audio."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateGroup:
    """A group of duplicate clips."""

    rows: tuple[int, ...]
    """Indices in the store, ascending; at least two."""
    match_kinds: tuple[str, ...]
    """Keys of `MATCH_KINDS` that hold for at least one pair of the group."""


def find_duplicates(store: Store) -> tuple[list[DuplicateGroup], list[DuplicateGroup]]:
    """Find duplicate clips in one pass over the store.

    Failed clips, and silent or blank clips, are never duplicates of each other.

    Returns:
        Groups that match in any way, and groups that have the same audio.

    Raises:
        StoreError: If an array cannot be read.
    """
    kinds_of: dict[Pair, set[str]] = defaultdict(set)
    fingerprint = partial(audio_fingerprint, settings=store.spec.settings)
    for kind, pairs in chain(
        _by_file(store),
        _by_content(
            store,
            "frames",
            "frames",
            VIDEO_STATUSES,
            video_fingerprint,
            VIDEO_CORRELATION,
        ),
        _by_content(
            store, "audio", "stft_16", AUDIO_STATUSES, fingerprint, AUDIO_CORRELATION
        ),
    ):
        for pair in pairs:
            kinds_of[pair].add(kind)
    same_audio = {
        pair: kinds & AUDIO_MATCH_KINDS
        for pair, kinds in kinds_of.items()
        if kinds & AUDIO_MATCH_KINDS
    }
    return _group(kinds_of), _group(same_audio)


def _by_file(store: Store) -> Iterator[tuple[str, Iterable[Pair]]]:
    """Yield the pairs of clips that start at the same time of the same file."""
    columns = store.columns
    usable = columns["status"] != "failed"
    audible = usable & (columns["silence"] < 1)
    audio_file = columns["sound_sha256"]
    # Two turns of one recording can start at once; each then has its own audio file.
    both_files = columns["source_sha256"] + audio_file
    for kind, file_of, rows in (
        ("file", both_files, usable & (columns["source_sha256"] != "")),
        ("audio file", audio_file, audible & (audio_file != "")),
    ):
        by_file: dict[str, list[int]] = defaultdict(list)
        for row in np.flatnonzero(rows):
            by_file[file_of[row]].append(int(row))
        yield kind, _near_pairs(by_file.values(), columns["start_s"])


def _near_pairs(
    groups: Iterable[Sequence[int]],
    start_s: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Iterator[Pair]:
    """Yield neighbors in time within each group that start close together."""
    for rows in groups:
        in_time = sorted(rows, key=lambda row: float(start_s[row]))
        for one, other in pairwise(in_time):
            if start_s[other] - start_s[one] <= MAX_START_DIFFERENCE_S:
                yield min(one, other), max(one, other)


def _by_content(
    store: Store,
    kind: str,
    array_name: str,
    statuses: Sequence[str],
    fingerprint: Callable[[NDArray[Any]], Fingerprint | None],
    threshold: float,
) -> Iterator[tuple[str, Iterable[Pair]]]:
    """Yield pairs with equal arrays, and pairs with correlated fingerprints.

    The array of each clip is read once.
    """
    fingerprints: list[Fingerprint | None] = [None] * len(store)
    hashes = [b""] * len(store)
    for row, status in enumerate(store.columns["status"]):
        if array_name not in store or status not in statuses:
            continue
        array = store.read(array_name, row)
        if array.min() == array.max():  # blank or silent
            continue
        hashes[row] = hashlib.sha256(array.tobytes()).digest()
        fingerprints[row] = fingerprint(array)
    by_hash: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(hashes):
        by_hash[digest or str(row).encode()].append(row)
    yield kind, [pair for rows in by_hash.values() for pair in pairwise(rows)]
    near = correlated_pairs(fingerprints, threshold)
    yield f"{kind} re-encoded", [(i, j) for i, j in near if hashes[i] != hashes[j]]


def _group(kinds_of: Mapping[Pair, set[str]]) -> list[DuplicateGroup]:
    """Join pairs that share a clip into groups."""
    root: dict[int, int] = {}

    def find(row: int) -> int:
        while root.setdefault(row, row) != row:
            row = root[row]
        return row

    for one, other in sorted(kinds_of):
        root[max(find(one), find(other))] = min(find(one), find(other))
    rows: dict[int, list[int]] = defaultdict(list)
    match_kinds: dict[int, set[str]] = defaultdict(set)
    for row in sorted(root):
        rows[find(row)].append(row)
    for (one, _), kinds in kinds_of.items():
        match_kinds[find(one)] |= kinds
    return [
        DuplicateGroup(
            rows=tuple(rows[r]),
            match_kinds=tuple(k for k in MATCH_KINDS if k in match_kinds[r]),
        )
        for r in sorted(rows)
    ]
