"""Cross-corpus results of a comparison: training stores by test stores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mmder_train.evaluation import metrics
from mmder_train.evaluation.load_results import StrategyResults
from mmder_train.reporting.comparison import (
    SEED,
    SPEAKERS_UNKNOWN,
    Ranking,
    ResultRow,
)

Pair = tuple[float, float]
StoreKey = tuple[str, str]
"""Hash and name of a store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossScore:
    """Scores on one test store, averaged over seeds, as fractions in [0, 1]."""

    test_store: str
    """Name of the test store."""
    classes: tuple[str, ...]
    """Classes that are scored."""
    dropped: tuple[tuple[str, ...], tuple[str, ...]]
    """Classes of only the training store, and of only the test store."""
    war: float
    uar: float
    intervals: tuple[Pair, Pair] | None
    """Intervals of WAR and UAR over speakers. None if only one speaker was tested."""
    clips: int
    speakers: int
    chance: Pair
    """WAR and UAR of always predicting the largest class."""
    speaker_independent: str
    """Remark on the test speakers, as for other results."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossRow:
    """Scores of one method that was trained on one store."""

    own: ResultRow
    """Scores of the same method on the folds of the training store."""
    train_store: str
    """Name of the training store."""
    scores: tuple[CrossScore | None, ...]
    """Score by test store, in the order of `CrossTable.stores`. None for the training
    store, and for stores that were not tested."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossTable:
    """All cross-corpus results of a comparison."""

    stores: tuple[str, ...]
    """Names of the test stores, and of training stores that were not tested on."""
    keys: tuple[str, ...]
    """Hash of each store."""
    rows: tuple[CrossRow, ...]


def cross_table(rankings: Iterable[Ranking]) -> CrossTable | None:
    """Return the table of cross-corpus results, or None if there are none.

    Rows are sorted by training store, then as in the rankings.
    """
    rows = [row for r in rankings for row in r.rows if row.first.cross_corpus]
    if not rows:
        return None
    rows.sort(key=lambda row: _key(row.first)[::-1])
    stores = list(dict.fromkeys(_key(row.first) for row in rows))
    tested = sorted(
        {_key(c) for row in rows for run in row.runs for c in run.cross_corpus},
        key=lambda key: key[::-1],
    )
    stores += [key for key in tested if key not in stores]
    return CrossTable(
        stores=tuple(name for _, name in stores),
        keys=tuple(sha256 for sha256, _ in stores),
        rows=tuple(
            CrossRow(
                own=row,
                train_store=_key(row.first)[1],
                scores=tuple(_score(row, key) for key in stores),
            )
            for row in rows
        ),
    )


def _key(results: StrategyResults) -> StoreKey:
    return str(results.store.get("sha256")), str(results.store.get("name"))


def _score(row: ResultRow, store: StoreKey) -> CrossScore | None:
    """Return the scores of a row on a store, averaged over the runs that have them."""
    found = [c for run in row.runs for c in run.cross_corpus if _key(c) == store]
    if not found:
        return None
    first = found[0]
    by_speaker = np.stack([r.confusion_by(r.speaker) for r in found])
    pooled = by_speaker.sum(axis=1)
    speakers = len(set(first.speaker))
    intervals = metrics.intervals(by_speaker, seed=SEED) if speakers > 1 else None
    return CrossScore(
        test_store=store[1],
        classes=first.classes,
        dropped=first.dropped,
        war=float(np.mean([metrics.war(c) for c in pooled])),
        uar=float(np.mean([metrics.uar(c) for c in pooled])),
        intervals=intervals and intervals[:2],
        clips=len(first.clip_id),
        speakers=speakers,
        chance=metrics.chance(pooled[0])[:2],
        speaker_independent=_speaker_independent(found),
    )


def _speaker_independent(results: Sequence[StrategyResults]) -> str:
    if any(r.seen for r in results):
        return "no: seen in pre-training"
    if any(r.speakers_unknown for r in results):
        return SPEAKERS_UNKNOWN
    return "yes"


def dropped_lines(table: CrossTable) -> Sequence[str]:
    """Return one line per pair of stores about classes that were not scored."""
    lines: dict[str, None] = {}
    for row in table.rows:
        for score in filter(None, row.scores):
            parts = [
                f"only {store} has {', '.join(names)}"
                for store, names in zip(
                    (row.train_store, score.test_store), score.dropped, strict=True
                )
                if names
            ]
            if parts:
                pair = f"{row.train_store} to {score.test_store}"
                text = f"{pair}: {len(score.classes)} classes; {'; '.join(parts)}"
                lines[text] = None
    return list(lines)
