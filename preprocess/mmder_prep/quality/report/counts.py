"""Counts over the columns of a store, limited to what fits on the page."""

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
MAX_EXAMPLES = 6
"""Maximum number of clip names per group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Clips that share a status and a text."""

    status: str
    text: str
    """Text with all numbers replaced by N."""
    clips: int
    """Number of clips."""
    examples: tuple[str, ...]
    """Names of the first clips."""


def group_reasons(
    clip_ids: NDArray[Any], status: NDArray[Any], texts: NDArray[Any], *, limit: int
) -> tuple[list[Group], int]:
    """Group clips by status and text, the worst status first, then the largest group.

    Texts that differ only in numbers form one group. Clips that are ok and have no
    text are skipped.

    Returns:
        At most `limit` groups, and the number of clips in the other groups.
    """
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for clip_id, clip_status, text in zip(clip_ids, status, texts, strict=True):
        if text or clip_status != "ok":
            pattern = re.sub(r"\d+(\.\d+)?", "N", without_paths(text))
            names[clip_status, pattern].append(clip_id)
    order = sorted(names, key=lambda k: (-STATUSES.index(k[0]), -len(names[k]), k[1]))
    groups = [
        Group(
            status=key[0],
            text=plain(key[1]),
            clips=len(names[key]),
            examples=tuple(plain(n) for n in names[key][:MAX_EXAMPLES]),
        )
        for key in order
    ]
    return groups[:limit], sum(g.clips for g in groups[limit:])


def most_common(
    keys: Iterable[tuple[str, ...]], *, limit: int
) -> tuple[list[tuple[tuple[str, ...], int]], int]:
    """Return the most frequent keys with their counts, and the count of all others."""
    counts = sorted(Counter(keys).items(), key=lambda item: (-item[1], item[0]))
    return counts[:limit], sum(n for _, n in counts[limit:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """Number of clips by speaker and emotion."""

    emotions: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """Speakers with one count per emotion."""
    totals: tuple[int, ...]
    """Count per emotion over all speakers, shown or not."""
    hidden_speakers: int
    """Number of speakers that are not shown."""
    hidden_emotions: int
    """Number of emotions that are not shown."""


def cross_table(
    speakers: NDArray[Any], emotions: NDArray[Any], *, rows: int, columns: int
) -> Crossing:
    """Count clips by speaker and emotion; the rarest emotions are hidden.

    Args:
        speakers: Speaker of each clip.
        emotions: Emotion of each clip.
        rows: Maximum number of speakers to show.
        columns: Maximum number of emotions to show.
    """
    pairs = Counter(zip(speakers, emotions, strict=True))
    by_emotion = Counter(emotions)
    order = sorted(by_emotion, key=lambda e: (-by_emotion[e], e))
    shown = sorted(order[:columns])
    names = sorted(set(speakers), key=_natural)
    return Crossing(
        emotions=tuple(plain(e) or "(none)" for e in shown),
        rows=tuple(
            (plain(s) or "(none)", tuple(pairs[s, e] for e in shown))
            for s in names[:rows]
        ),
        totals=tuple(by_emotion[e] for e in shown),
        hidden_speakers=max(0, len(names) - rows),
        hidden_emotions=max(0, len(order) - columns),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that orders 2 before 10."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"(\d{1,9})", name)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One test fold of a protocol in this store."""

    number: int
    speakers: int
    """Number of speakers."""
    clips: int
    """Number of clips."""


def folds(protocol: FoldProtocol, speakers: NDArray[Any]) -> list[Fold]:
    """Count the speakers and clips of this store in every test fold."""
    clips = Counter(speakers)
    fold_of: Mapping[str, int] = protocol.fold_of
    return [
        Fold(
            number=number,
            speakers=sum(1 for s in clips if fold_of.get(s) == number),
            clips=sum(n for s, n in clips.items() if fold_of.get(s) == number),
        )
        for number in sorted(set(fold_of.values()))
    ]


def count_labels(
    labels: LabelSet, columns: Columns
) -> tuple[list[tuple[str, int]], int]:
    """Count the ok clips per class of a label set, and those without a class."""
    emotions = columns[labels.column][columns["status"] == "ok"]
    counts = Counter(labels.label(e) for e in emotions)
    return [(c, counts[i]) for i, c in enumerate(labels.classes)], counts[-1]


def video_formats(columns: Columns) -> list[tuple[str, ...]]:
    """Return frame size and frame rate of every clip that has video."""
    names = ("picture_width_px", "picture_height_px", "picture_fps")
    rows = zip(*(columns[n].tolist() for n in names), strict=True)
    return [(f"{w} x {h}", f"{fps:.4g}") for w, h, fps in rows if w > 0]


def audio_formats(columns: Columns) -> list[tuple[str, ...]]:
    """Return sample rate and number of channels of every clip that has audio."""
    names = ("sound_rate_hz", "sound_channels")
    rows = zip(*(columns[n].tolist() for n in names), strict=True)
    return [(str(rate), str(channels)) for rate, channels in rows if rate > 0]
