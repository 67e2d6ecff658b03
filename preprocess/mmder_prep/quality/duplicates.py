"""Which clips of a store are one and the same take: by their files, by content."""

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
    "file": "cut from one file at one time",
    "sound file": "with the sound of one file",
    "picture": "with the same pictures",
    "sound": "with the same sound",
    "picture again": "with the same pictures, encoded anew",
    "sound again": "with the same sound, encoded anew",
}
"""How clips may be one, in words."""
SAME_AUDIO_CORRELATION = frozenset(("file", "sound file", "sound", "sound again"))
SAME_S = 0.1
"""Clips of one file that start this near are one: the same sound may stand beside
pictures whose first one or two are cut off."""
VIDEO_STATUSES = ("ok", "no_face", "no_audio")
"""Statuses of clips whose pictures are there."""
AUDIO_STATUSES = ("ok", "no_face", "no_video")
"""Statuses of clips whose sound is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateGroup:
    """Clips that are one."""

    rows: tuple[int, ...]
    """Their places in the store, ascending; at least two."""
    match_kinds: tuple[str, ...]
    """Keys of `WAYS`: in which ways some two of them are one."""


def find_duplicates(store: Store) -> tuple[list[DuplicateGroup], list[DuplicateGroup]]:
    """Find them, in one reading of the store.

    Clips that failed, and silent or blank ones, are no copies of each other.

    Returns:
        Those that are one in any way; and those that sound as one.

    Raises:
        StoreError: If an array cannot be read.
    """
    ways: dict[Pair, set[str]] = defaultdict(set)
    hears = partial(audio_fingerprint, settings=store.spec.settings)
    for way, pairs in chain(
        _by_file(store),
        _by_content(
            store,
            "picture",
            "frames",
            VIDEO_STATUSES,
            video_fingerprint,
            VIDEO_CORRELATION,
        ),
        _by_content(
            store, "sound", "stft_16", AUDIO_STATUSES, hears, AUDIO_CORRELATION
        ),
    ):
        for pair in pairs:
            ways[pair].add(way)
    heard = {
        p: w & SAME_AUDIO_CORRELATION
        for p, w in ways.items()
        if w & SAME_AUDIO_CORRELATION
    }
    return _grouped(ways), _grouped(heard)


def _by_file(store: Store) -> Iterator[tuple[str, Iterable[Pair]]]:
    columns = store.columns
    good = columns["status"] != "failed"
    heard = good & (columns["silence"] < 1)
    sound_file = columns["sound_sha256"]
    # Two turns of one recording may begin at once; each then has a sound of its own.
    both = columns["source_sha256"] + sound_file
    for way, name, kept in (
        ("file", both, good & (columns["source_sha256"] != "")),
        ("sound file", sound_file, heard & (sound_file != "")),
    ):
        of_file: dict[str, list[int]] = defaultdict(list)
        for row in np.flatnonzero(kept):
            of_file[name[row]].append(int(row))
        yield way, _near(of_file.values(), columns["start_s"])


def _near(
    files: Iterable[Sequence[int]],
    start_s: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Iterator[Pair]:
    for rows in files:
        in_time = sorted(rows, key=lambda row: float(start_s[row]))
        for one, other in pairwise(in_time):
            if start_s[other] - start_s[one] <= SAME_S:
                yield min(one, other), max(one, other)


def _by_content(
    store: Store,
    way: str,
    name: str,
    there: Sequence[str],
    printed: Callable[[NDArray[Any]], Fingerprint | None],
    threshold: float,
) -> Iterator[tuple[str, Iterable[Pair]]]:
    """Read an array once, and compare a hash of the whole and a print of each clip."""
    prints: list[Fingerprint | None] = [None] * len(store)
    hashes = [b""] * len(store)
    for row, status in enumerate(store.columns["status"]):
        if name not in store or status not in there:
            continue
        array = store.read(name, row)
        if array.min() == array.max():  # black, or without a sound
            continue
        hashes[row] = hashlib.sha256(array.tobytes()).digest()
        prints[row] = printed(array)
    of_hash: dict[bytes, list[int]] = defaultdict(list)
    for row, found in enumerate(hashes):
        of_hash[found or str(row).encode()].append(row)
    yield way, [pair for rows in of_hash.values() for pair in pairwise(rows)]
    near = correlated_pairs(prints, threshold)
    yield f"{way} again", [(i, j) for i, j in near if hashes[i] != hashes[j]]


def _grouped(ways: Mapping[Pair, set[str]]) -> list[DuplicateGroup]:
    """Join pairs that share a clip."""
    root: dict[int, int] = {}

    def find(row: int) -> int:
        while root.setdefault(row, row) != row:
            row = root[row]
        return row

    for one, other in sorted(ways):
        root[max(find(one), find(other))] = min(find(one), find(other))
    rows: dict[int, list[int]] = defaultdict(list)
    how: dict[int, set[str]] = defaultdict(set)
    for row in sorted(root):
        rows[find(row)].append(row)
    for (one, _), found in ways.items():
        how[find(one)] |= found
    return [
        DuplicateGroup(
            rows=tuple(rows[r]),
            match_kinds=tuple(w for w in MATCH_KINDS if w in how[r]),
        )
        for r in sorted(rows)
    ]
