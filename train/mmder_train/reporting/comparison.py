"""Compare finished runs: group them by settings, score them, rank them by label set."""

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
from mmder_train.evaluation.metrics import Interval
from mmder_train.evaluation.model_quality import has_random_encoder
from mmder_train.reporting import published_results
from mmder_train.reporting.published_results import Published
from mmder_train.reporting.published_settings import SpeakerIndependence

SEED = 0
"""Seed of the bootstrap intervals, so that equal runs yield equal reports."""
Scores = tuple[float, float, float]
"""One value per score of `metrics.SCORES`."""
NAMED = ("encoder", "weights")
"""Settings that the name of every row contains."""
MAIN = ("method", "spectrogram", "recipe")
"""Settings that are preferred in the name of a row if they differ."""
IGNORED = (
    *("seed", "seeds", "strategies", "labels", "weights_sha256", "drop_modality"),
    *("name", "predictions_sha256", "train_list_sha256"),
)
"""Settings that do not distinguish rows, or that other settings imply."""
MODALITIES = {"av": "A+V", "audio": "A", "video": "V"}
"""Input of foreign predictions by the setting `modality`."""
FOREIGN = "foreign predictions"
"""Part of the name of a row that another program predicted."""
SPEAKERS_UNKNOWN: SpeakerIndependence = "unknown: clips are split"
"""Remark on results on folds of clips whose speakers are not known."""
RANDOM_WEIGHTS = "random weights"
"""Part of the name of a row whose encoder is frozen and was never trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultRow:
    """Scores of runs that differ only in the seed, as fractions in [0, 1]."""

    runs: tuple[StrategyResults, ...]
    """Results of the runs, sorted by seed."""
    settings: Mapping[str, Any]
    """As few settings as distinguish this row from others of the strategy."""
    war: float
    """WAR over all clips, averaged over seeds, as are all other scores."""
    uar: float
    """UAR over all clips, averaged over seeds."""
    weighted_f1: float
    """Weighted F1 over all clips, averaged over seeds."""
    intervals: tuple[Interval, Interval, Interval] | None
    """Intervals of the scores over speakers. None if only one speaker was tested."""
    seed_std: Scores | None
    """Standard deviation of the scores over seeds. None if there is one seed."""
    fold_mean: Scores
    """Mean of the scores over folds."""
    fold_std: Scores
    """Standard deviation of the scores over folds."""
    recall: Float64[np.ndarray, " class"]
    """Recall of each class, NaN if it has no clip."""
    recall_intervals: tuple[Interval | None, ...]
    """Interval of the recall of each class over speakers. None for a class with clips
    of fewer than two speakers."""
    confusion: Int64[np.ndarray, "class class"]
    """Confusion matrix, summed over seeds."""
    chance: Scores
    """Scores if the largest class is always predicted."""

    @property
    def scores(self) -> Scores:
        """Scores in the order of `metrics.SCORES`."""
        return self.war, self.uar, self.weighted_f1

    @property
    def first(self) -> StrategyResults:
        """First run, for everything that the runs have in common."""
        return self.runs[0]

    @property
    def sources(self) -> list[str]:
        """Names of the runs. A run with several seeds is named once."""
        return list(dict.fromkeys(run.run for run in self.runs))

    @property
    def modality(self) -> str:
        """Input of the strategy at test: ``V``, ``A`` or ``A+V``."""
        if self.first.foreign is not None:
            return MODALITIES[str(self.first.config.get("modality"))]
        single = {"video": "V", "audio": "A"}
        if self.first.missing:
            return single["audio" if self.first.missing == "video" else "video"]
        name = self.first.strategy
        return "A" if name.startswith("baseline-") else single.get(name, "A+V")

    @property
    def has_random_encoder(self) -> bool:
        """True if the encoder is frozen with random weights."""
        return has_random_encoder(self.first.config)

    @property
    def speaker_independent(self) -> str:
        """Remark on the test speakers, as for published results."""
        if any(run.seen for run in self.runs):
            return "no: seen in pre-training"
        if any(run.speakers_unknown for run in self.runs):
            return SPEAKERS_UNKNOWN
        foreign = self.first.foreign
        if foreign is not None and not foreign.get("speakers_checked"):
            return "not checked"
        return "yes"

    @property
    def is_foreign(self) -> bool:
        """True if another program made the predictions."""
        return self.first.foreign is not None

    @property
    def title(self) -> str:
        """Short name: strategy, encoder, weights, and what distinguishes the row."""
        config = self.first.config
        weights = config.get("weights", "none")
        parts = [self.first.strategy, str(config.get("encoder") or "")]
        parts += [f"no {self.first.missing}"] if self.first.missing else []
        if self.first.foreign is not None:
            parts = [str(self.first.foreign.get("name")), FOREIGN]
        if self.has_random_encoder:
            parts.append(RANDOM_WEIGHTS)
        elif weights != "none":
            parts.append(str(weights))
        parts += [f"{k} {_format(v)}" for k, v in self.settings.items()]
        return ", ".join(filter(None, parts))

    @property
    def protocol(self) -> str:
        """Name of the fold protocol."""
        return str(self.first.config.get("protocol"))

    @property
    def folds(self) -> list[int]:
        """Numbers of the tested folds."""
        return [int(k) for k in np.unique(self.first.fold)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """Results over one label set, best WAR first, with published results."""

    labels: str
    """Name of the label set."""
    classes: tuple[str, ...]
    rows: tuple[ResultRow, ...]
    published: tuple[Published, ...]
    """Published results over the same classes, and on the folds of one of the rows as
    far as their folds are known."""
    not_comparable: tuple[Published, ...]
    """All other published results on the same corpus."""
    warnings: tuple[str, ...]


def compare_runs(paths: Sequence[Path]) -> tuple[Ranking, ...]:
    """Load finished runs, and return one ranking per label set.

    Args:
        paths: Folders of finished runs.

    Raises:
        SettingsError: If a folder does not contain a finished run, or two contain the
            same one.
    """
    names = [path.resolve().name for path in paths]
    unique = len(set(names)) == len(names)
    results = [
        strategy_results
        for path, name in zip(paths, names, strict=True)
        for strategy_results in load_run(path, name if unique else str(path))
    ]
    groups = defaultdict(list)
    for strategy_results in results:
        groups[strategy_results.identity()].append(strategy_results)
    settings = _distinguishing_settings([group[0] for group in groups.values()])
    rows = [
        _result_row(group, group_settings)
        for group, group_settings in zip(groups.values(), settings, strict=True)
    ]
    by_labels = defaultdict(list)
    for row in rows:
        key = (str(row.first.config.get("labels")), row.first.classes)
        by_labels[key].append(row)
    return tuple(
        _ranking(labels, classes, by_labels[labels, classes])
        for labels, classes in sorted(by_labels)
    )


def _distinguishing_settings(
    results: Sequence[StrategyResults],
) -> list[dict[str, Any]]:
    """Return as few settings as distinguish the results of a strategy.

    The encoder and its weights are named in any case. Only results of the same strategy
    are compared, because a baseline always has other settings than an encoder.
    """
    known = [{**r.config, "store": r.store.get("name")} for r in results]
    keys: dict[str, list[str]] = {}
    for strategy in {r.strategy for r in results}:
        same = [
            (k, str(r.store.get("sha256")))
            for k, r in zip(known, results, strict=True)
            if r.strategy == strategy
        ]
        chosen = [*NAMED, *IGNORED]
        names = {name for k, _ in same for name in k} - {*chosen, "store"}
        first = [name for name in MAIN if name in names]
        for name in [*first, *sorted(names - set(first)), "store"]:
            if _count(same, [*chosen, name]) > _count(same, chosen):
                chosen.append(name)
        keys[strategy] = chosen[len(NAMED) + len(IGNORED) :]
    return [
        {name: k[name] for name in keys[r.strategy] if k.get(name) is not None}
        for k, r in zip(known, results, strict=True)
    ]


def _count(
    results: Sequence[tuple[Mapping[str, Any], str]], names: Sequence[str]
) -> int:
    """Return the number of results that differ in some settings."""
    counted = [n for n in names if n not in IGNORED]
    return len(
        {
            tuple(sha if n == "store" else str(known.get(n)) for n in counted)
            for known, sha in results
        }
    )


def _result_row(
    group: Sequence[StrategyResults], settings: Mapping[str, Any]
) -> ResultRow:
    """Score runs that differ only in the seed."""
    runs = sorted(group, key=lambda r: (_seed(r), r.run))
    first = runs[0]
    for one, other in pairwise(runs):
        if _seed(one) == _seed(other):
            msg = (
                f"runs {one.run} and {other.run}: the same run of {one.strategy} "
                "twice; expected different runs"
            )
            raise SettingsError(msg)
        if (one.clip_id, one.true.tolist()) != (other.clip_id, other.true.tolist()):
            msg = (
                f"runs {one.run} and {other.run}: different clips although the "
                "settings are equal; expected the same clips"
            )
            raise SettingsError(msg)
    by_speaker = np.stack([r.confusion_by(r.speaker) for r in runs])
    by_fold = np.stack([r.confusion_by(r.fold.tolist()) for r in runs])
    pooled = by_speaker.sum(axis=1)
    scores = np.array([_scores(c) for c in pooled])
    fold_scores = np.array([[_scores(c) for c in run] for run in by_fold]).mean(axis=0)
    war, uar, weighted_f1 = scores.mean(axis=0).tolist()
    several_speakers = len(set(first.speaker)) > 1
    return ResultRow(
        runs=tuple(runs),
        settings=settings,
        war=war,
        uar=uar,
        weighted_f1=weighted_f1,
        intervals=(
            metrics.intervals(by_speaker, seed=SEED) if several_speakers else None
        ),
        seed_std=_triple(scores.std(axis=0)) if len(runs) > 1 else None,
        fold_mean=_triple(fold_scores.mean(axis=0)),
        fold_std=_triple(fold_scores.std(axis=0)),
        recall=metrics.recalls(pooled.sum(axis=0)),
        recall_intervals=(
            metrics.recall_intervals(by_speaker, seed=SEED)
            if several_speakers
            else (None,) * len(first.classes)
        ),
        confusion=pooled.sum(axis=0),
        chance=metrics.chance(pooled[0]),
    )


def _format(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seed(results: StrategyResults) -> int:
    return int(results.config.get("seed", 0))


def _scores(counts: Int64[np.ndarray, "class class"]) -> list[float]:
    return list(metrics.all_scores(counts).values())


def _triple(values: Float64[np.ndarray, " 3"]) -> Scores:
    war, uar, weighted_f1 = values.tolist()
    return war, uar, weighted_f1


def _ranking(
    labels: str, classes: tuple[str, ...], rows: Iterable[ResultRow]
) -> Ranking:
    ranked = sorted(rows, key=lambda r: (-r.war, r.first.strategy, r.first.run))
    corpora = {r.first.store.get("corpus") for r in ranked}
    known = sorted(
        published_results.ROWS, key=lambda r: (-(r.war or 0), r.method, r.source)
    )
    protocols = {None, *(row.protocol for row in ranked)}
    same = tuple(
        r
        for r in known
        if r.corpus in corpora
        and r.setting.labels == labels
        and r.setting.protocol in protocols
    )
    warnings = []
    clips = [set(r.first.clip_id) for r in ranked]
    if any(c != clips[0] for c in clips):
        warnings.append(
            "The runs were not all tested on the same clips. Compare only rows that "
            "were."
        )
    return Ranking(
        labels=labels,
        classes=classes,
        rows=tuple(ranked),
        published=same,
        not_comparable=tuple(r for r in known if r.corpus in corpora and r not in same),
        warnings=tuple(warnings),
    )
