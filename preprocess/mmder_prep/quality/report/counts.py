"""Counts over the columns of a store, cut to what a page can hold."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mmder_prep.quality.report.text import plain, without_paths
from mmder_store.emotions import LabelSet
from mmder_store.protocols import FoldProtocol
from mmder_store.schema import STATUSES

Columns = Mapping[str, NDArray[Any]]
EXAMPLES = 6
"""Names of clips shown of a group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Clips of which the same is said."""

    status: str
    text: str
    """Numbers in it replaced by N."""
    clips: int
    examples: tuple[str, ...]
    """Names of the first of them."""


def group_reasons(
    clip_ids: NDArray[Any], status: NDArray[Any], texts: NDArray[Any], *, most: int
) -> tuple[list[Group], int]:
    """Group clips by status and text, the worst status first, then the largest group.

    Texts that differ in numbers alone are one; clips that are ok and of which nothing
    is said are left out.

    Returns:
        At most `most` groups, and how many clips are in the others.
    """
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for clip_id, one, text in zip(clip_ids, status, texts, strict=True):
        if text or one != "ok":
            said = re.sub(r"\d+(\.\d+)?", "N", without_paths(text))
            names[one, said].append(clip_id)
    order = sorted(names, key=lambda k: (-STATUSES.index(k[0]), -len(names[k]), k[1]))
    groups = [
        Group(
            status=key[0],
            text=plain(key[1]),
            clips=len(names[key]),
            examples=tuple(plain(n) for n in names[key][:EXAMPLES]),
        )
        for key in order
    ]
    return groups[:most], sum(g.clips for g in groups[most:])


def most_common(
    keys: Iterable[tuple[str, ...]], *, most: int
) -> tuple[list[tuple[tuple[str, ...], int]], int]:
    """Count, the most frequent first; and give the clips of what is not shown."""
    counts = sorted(Counter(keys).items(), key=lambda item: (-item[1], item[0]))
    return counts[:most], sum(n for _, n in counts[most:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """Counts of clips by speaker and emotion."""

    emotions: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """Speakers with a count an emotion."""
    totals: tuple[int, ...]
    """By emotion, over all speakers, shown or not."""
    hidden_speakers: int
    hidden_emotions: int


def cross_table(
    speakers: NDArray[Any], emotions: NDArray[Any], *, rows: int, columns: int
) -> Crossing:
    """Count clips by speaker and emotion; emotions beyond `columns` are the rarest."""
    pairs = Counter(zip(speakers, emotions, strict=True))
    by_emotion = Counter(emotions)
    order = sorted(by_emotion, key=lambda e: (-by_emotion[e], e))
    shown = sorted(order[:columns])
    who = sorted(set(speakers), key=_natural)
    return Crossing(
        emotions=tuple(plain(e) or "(none)" for e in shown),
        rows=tuple(
            (plain(s) or "(none)", tuple(pairs[s, e] for e in shown))
            for s in who[:rows]
        ),
        totals=tuple(by_emotion[e] for e in shown),
        hidden_speakers=max(0, len(who) - rows),
        hidden_emotions=max(0, len(order) - columns),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort 2 before 10."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"(\d{1,9})", name)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One test fold of a protocol in this store."""

    number: int
    speakers: int
    clips: int


def folds(protocol: FoldProtocol, speakers: NDArray[Any]) -> list[Fold]:
    """Count speakers and clips of this store in every test fold."""
    clips = Counter(speakers)
    where: Mapping[str, int] = protocol.fold_of
    return [
        Fold(
            number=number,
            speakers=sum(1 for s in clips if where.get(s) == number),
            clips=sum(n for s, n in clips.items() if where.get(s) == number),
        )
        for number in sorted(set(where.values()))
    ]


def count_labels(
    labels: LabelSet, columns: Columns
) -> tuple[list[tuple[str, int]], int]:
    """Count ok clips by class of a label set, and those without a class."""
    emotions = columns[labels.column][columns["status"] == "ok"]
    counts = Counter(labels.label(e) for e in emotions)
    return [(c, counts[i]) for i, c in enumerate(labels.classes)], counts[-1]


def video_formats(columns: Columns) -> list[tuple[str, ...]]:
    """Give size and rate of the pictures of every clip that has some."""
    names = ("picture_width_px", "picture_height_px", "picture_fps")
    rows = zip(*(columns[n].tolist() for n in names), strict=True)
    return [(f"{w} x {h}", f"{fps:.4g}") for w, h, fps in rows if w > 0]


def audio_formats(columns: Columns) -> list[tuple[str, ...]]:
    """Give rate and channels of the sound of every clip that has some."""
    names = ("sound_rate_hz", "sound_channels")
    rows = zip(*(columns[n].tolist() for n in names), strict=True)
    return [(str(rate), str(channels)) for rate, channels in rows if rate > 0]
