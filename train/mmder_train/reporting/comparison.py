"""Finished runs beside each other: grouped by seed, scored, ranked by label set."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from mmder_store.errors import SettingsError
from mmder_train.evaluation import metrics
from mmder_train.evaluation.load_results import StrategyResults, load_run
from mmder_train.reporting import published_results
from mmder_train.reporting.published_results import Published

SEED = 0
"""Seed of the intervals: equal runs give equal reports."""
Pair = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultRow:
    """Runs that differ in nothing but the seed, and their scores in [0, 1]."""

    tested: tuple[StrategyResults, ...]
    settings: Mapping[str, Any]
    war: float
    """Of all clips, mean over seeds; so are all other scores."""
    uar: float
    intervals: tuple[Pair, Pair] | None
    """Of WAR and UAR, over speakers; None where one speaker was tested."""
    seed_std: Pair | None
    """Spread of WAR and UAR over seeds; None of one seed."""
    fold_mean: Pair
    fold_std: Pair
    recall: Float64[np.ndarray, " class"]
    confusion: Int64[np.ndarray, "class class"]
    """Sum over seeds."""
    chance: Pair

    @property
    def first(self) -> StrategyResults:
        """One of them, for what they share."""
        return self.tested[0]

    @property
    def modality(self) -> str:
        """What the strategy looks at."""
        name = self.first.strategy
        alone = {"video": "V", "audio": "A"}
        return "A" if name.startswith("baseline-") else alone.get(name, "A+V")

    @property
    def title(self) -> str:
        """Name the strategy and the settings by which one knows it."""
        told = [f"{k} {_plain(v)}" for k, v in self.settings.items()]
        return ", ".join([self.first.strategy, *told])

    @property
    def protocol(self) -> str:
        """How speakers were cut into folds."""
        return str(self.first.config.get("protocol"))

    @property
    def folds(self) -> list[int]:
        """Which were tested."""
        return [int(k) for k in np.unique(self.first.fold)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """Entries over one label set, the best WAR first, and published rows beside."""

    labels: str
    classes: tuple[str, ...]
    rows: tuple[ResultRow, ...]
    published: tuple[Published, ...]
    """Over the same classes."""
    elsewhere: tuple[Published, ...]
    """On the same corpus, over other classes or unconfirmed ones: not comparable."""
    notes: tuple[str, ...]


def compare_runs(paths: Sequence[Path]) -> tuple[Ranking, ...]:
    """Read finished runs and set them beside each other, label set by label set.

    Args:
        paths: Folders of runs.

    Raises:
        SettingsError: If one is no finished run, or two are the same.
    """
    names = [path.resolve().name for path in paths]
    unique = len(set(names)) == len(names)
    found = [
        tested
        for path, name in zip(paths, names, strict=True)
        for tested in load_run(path, name if unique else str(path))
    ]
    groups = defaultdict(list)
    for one in found:
        groups[one.identity()].append(one)
    settings = _distinguishing_settings([group[0] for group in groups.values()])
    entries = [
        _entry(group, told)
        for group, told in zip(groups.values(), settings, strict=True)
    ]
    by_labels = defaultdict(list)
    for entry in entries:
        key = (str(entry.first.config.get("labels")), entry.first.classes)
        by_labels[key].append(entry)
    return tuple(
        _ranking(labels, classes, by_labels[labels, classes])
        for labels, classes in sorted(by_labels)
    )


def _distinguishing_settings(tested: Sequence[StrategyResults]) -> list[dict[str, Any]]:
    """Give the settings by which one knows each: the main ones, and what differs.

    What differs is looked for among runs of one strategy: a baseline has other settings
    than an encoder in any case.
    """
    main = ("encoder", "weights", "method", "spectrogram")
    never = ("seed", "strategies", "labels", "weights_sha256")
    values = defaultdict(set)
    for one in tested:
        for key, value in one.config.items():
            values[one.strategy, key].add(str(value))
        values[one.strategy, "store"].add(str(one.store.get("sha256")))
    told = []
    for one in tested:
        known = {**one.config, "store": one.store.get("name")}
        differ = {
            k for k in known if len(values[one.strategy, k]) > 1 and k not in never
        }
        keys = [*main, *sorted(differ - set(main))]
        told.append({k: known[k] for k in keys if known.get(k) not in (None, "none")})
    return told


def _entry(group: Sequence[StrategyResults], settings: Mapping[str, Any]) -> ResultRow:
    """Score runs that differ in the seed."""
    tested = sorted(group, key=lambda t: (_seed(t), t.run))
    first = tested[0]
    seeds = [_seed(t) for t in tested]
    for one, other in pairwise(tested):
        if _seed(one) == _seed(other):
            msg = (
                f"runs {one.run} and {other.run}: the same run of {one.strategy} twice"
            )
            raise SettingsError(msg)
        if (one.clip_id, one.true.tolist()) != (other.clip_id, other.true.tolist()):
            msg = f"runs {one.run} and {other.run}: other clips under equal settings"
            raise SettingsError(msg)
    by_speaker = np.stack([t.confusion_by(t.speaker) for t in tested])
    by_fold = np.stack([t.confusion_by(t.fold.tolist()) for t in tested])
    pooled = by_speaker.sum(axis=1)
    scores = np.array([_scores(c) for c in pooled])
    fold_scores = np.array([[_scores(c) for c in run] for run in by_fold]).mean(axis=0)
    war, uar = scores.mean(axis=0).tolist()
    return ResultRow(
        tested=tuple(tested),
        settings=settings,
        war=war,
        uar=uar,
        intervals=(
            metrics.intervals(by_speaker, seed=SEED)
            if len(set(first.speaker)) > 1
            else None
        ),
        seed_std=_pair(scores.std(axis=0)) if len(seeds) > 1 else None,
        fold_mean=_pair(fold_scores.mean(axis=0)),
        fold_std=_pair(fold_scores.std(axis=0)),
        recall=metrics.recalls(pooled.sum(axis=0)),
        confusion=pooled.sum(axis=0),
        chance=metrics.chance(pooled[0]),
    )


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seed(tested: StrategyResults) -> int:
    return int(tested.config.get("seed", 0))


def _scores(counts: Int64[np.ndarray, "class class"]) -> Pair:
    return metrics.war(counts), metrics.uar(counts)


def _pair(values: Float64[np.ndarray, " 2"]) -> Pair:
    war, uar = values.tolist()
    return war, uar


def _ranking(
    labels: str, classes: tuple[str, ...], entries: Iterable[ResultRow]
) -> Ranking:
    ranked = sorted(entries, key=lambda e: (-e.war, e.first.strategy, e.first.run))
    corpora = {e.first.store.get("corpus") for e in ranked}
    known = sorted(
        published_results.ROWS, key=lambda row: (-row.war, row.method, row.source)
    )
    same = tuple(r for r in known if r.setting.labels == labels and r.corpus in corpora)
    notes = []
    clips = [set(e.first.clip_id) for e in ranked]
    if any(c != clips[0] for c in clips):
        notes.append(
            "Not all rows of this report were tested on the same clips; compare only "
            "those that were."
        )
    return Ranking(
        labels=labels,
        classes=classes,
        rows=tuple(ranked),
        published=same,
        elsewhere=tuple(r for r in known if r.corpus in corpora and r not in same),
        notes=tuple(notes),
    )
