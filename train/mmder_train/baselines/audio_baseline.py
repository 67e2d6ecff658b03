"""A simple baseline on the same clips and folds: a classifier of statistics of sound.

What an encoder must beat before it has shown anything.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64

from mmder_store import LabelSet, Store
from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.baselines.audio_statistics import AUDIBLE_DB, BANDS, statistics
from mmder_train.data import folds
from mmder_train.data.selection import ClipSelection, excluded_text, select_clips
from mmder_train.evaluation import confusion_plot, metrics, summary
from mmder_train.evaluation.run_directory import (
    RESULTS_VERSION,
    FoldResult,
    RunDirectory,
)
from mmder_train.fusion.strategies import STRATEGIES

PACKAGES = ("mmder", "numpy", "scikit-learn", "zarr")
Sample = Float64[np.ndarray, "clip statistic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """A classifier of scikit-learn and the numbers it is made with.

    They were chosen once on RAVDESS, by WAR among the speakers 05 to 20 that fold 1
    trains on (four groups of speakers in turn), and are the same for every fold and
    corpus. On folds 2 to 5 of RAVDESS the choice is therefore not blind: those speakers
    were among the ones it was made by.
    """

    title: str
    settings: Mapping[str, float]
    make: Callable[[Mapping[str, float], int], Any]
    """Take the settings and the number of statistics."""


def _logistic(settings: Mapping[str, float], statistics: int) -> Any:  # noqa: ANN401
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=settings["c"], max_iter=1000)


def _svm(settings: Mapping[str, float], statistics: int) -> Any:  # noqa: ANN401
    from sklearn.svm import SVC

    return SVC(C=settings["c"], gamma=settings["gamma_scaled"] / statistics)


CLASSIFIERS = {
    "logistic": Classifier(
        title="logistic regression", settings={"c": 0.003}, make=_logistic
    ),
    "svm": Classifier(
        title="SVM, radial kernel",
        settings={"c": 30.0, "gamma_scaled": 0.03},
        make=_svm,
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A baseline whose settings and store fit each other. Nothing in it is drawn."""

    model: Literal["logistic", "svm"]
    store: Store
    labels: LabelSet
    protocol: str
    fold: int | None
    clips: ClipSelection
    split: tuple[folds.Fold, ...]
    notes: list[str]

    @property
    def name(self) -> str:
        """What results call it, where a run names a strategy."""
        return f"baseline-{self.model}"

    @property
    def classifier(self) -> Classifier:
        """Its row of the table."""
        return CLASSIFIERS[self.model]

    def identity(self) -> dict[str, Any]:
        """Give all that determines the numbers."""
        return {
            "config": {
                "strategies": [self.name],
                "model": self.model,
                **self.classifier.settings,
                "bands": BANDS,
                "heard_db": AUDIBLE_DB,
                "labels": self.labels.name,
                "protocol": self.protocol,
                "fold": self.fold,
            },
            "store": {
                "name": self.store.path.resolve().name,
                "sha256": self.store.sha256,
            },
        }

    def default_run_dir(self) -> Path:
        """Name a folder after the store and all that determines the numbers."""
        found = self.identity()
        name = f"{Path(found['store']['name']).stem}-{self.name}"
        return Path("runs") / f"{name}-{digest(found)[:8]}"


def setup_baseline(
    store: Store,
    *,
    model: Literal["logistic", "svm"],
    labels: str,
    protocol: str,
    fold: int | None,
) -> Baseline:
    """Check that the store can serve the settings.

    Clips, labels and folds are those of ``--strategy audio``.

    Args:
        store: A sealed store.
        model: Which classifier.
        labels: Label set of the store; empty for its first.
        protocol: How speakers are cut into folds; empty for the store's first.
        fold: The one fold that is tested, None for all.

    Raises:
        SettingsError: If it cannot.
    """
    sets = {s.name: s for s in store.spec.label_sets}
    chosen = sets.get(labels or next(iter(sets), ""))
    if chosen is None:
        msg = f"--labels {labels}: this store has {', '.join(sets) or 'none'}"
        raise SettingsError(msg)
    speakers = [str(s) for s in store.columns["speaker"]]
    cut = folds.choose_protocol(protocol, store.spec.protocols, speakers)
    clips = select_clips(store, strategy=STRATEGIES["audio"], labels=chosen)
    split = folds.split(clips.speaker, cut)
    notes = folds.fold_warnings(split, cut, clips.label, chosen.classes)
    if clips.excluded:
        notes.insert(0, excluded_text(clips.excluded))
    tested = folds.select_folds(split, fold, cut)
    for one in tested:
        if len(np.unique(clips.label[one.train])) < 2:
            msg = (
                f"fold {one.number}: all clips to train on are of one class; a "
                "classifier needs two"
            )
            raise SettingsError(msg)
    return Baseline(
        model=model,
        store=store,
        labels=chosen,
        protocol=cut.name,
        fold=fold,
        clips=clips,
        split=tested,
        notes=notes,
    )


def evaluate_baseline(
    baseline: Baseline, folder: RunDirectory, *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train and test every fold; give the results, in the form that a run has.

    Args:
        baseline: From `prepare`.
        folder: Where results go; what is finished there is not done again.
        say: Takes a line for the user.
    """
    folder.open(baseline.identity())
    recorded = folder.results()
    if recorded is not None:
        return recorded
    for note in baseline.notes:
        say(f"{baseline.name}: {note}")
    started = time.monotonic()
    sample = load_statistics(baseline)
    say(
        f"{baseline.name}: {sample.shape[1]} statistics of {len(sample)} clips, "
        f"{time.monotonic() - started:.1f} s"
    )
    records = []
    for record, line in _tested(baseline, sample):
        folder.finish_fold(record)
        records.append(record)
        say(line)
    classes = baseline.labels.classes
    results = _results(baseline, sample.shape[1], records)
    folder.write_predictions(baseline.name, records, classes)
    found = results["strategies"][baseline.name]
    with atomic_write(folder.confusion(baseline.name)) as draft:
        confusion_plot.draw_confusion(draft, baseline.name, found, classes)
    folder.finish(results)
    return results


def load_statistics(baseline: Baseline) -> Sample:
    """Give the statistics of every clip, read one after the other."""
    store = baseline.store
    return np.stack(
        [
            statistics(
                store.read("mfcc_16", int(row)),
                store.read("stft_16", int(row)),
                store.spec.settings,
            )
            for row in baseline.clips.row
        ]
    )


def shares(
    classifier: Classifier,
    sample: Sample,
    labels: Int64[np.ndarray, " clip"],
    train: Int64[np.ndarray, " train"],
    *,
    classes: int,
) -> Float64[np.ndarray, "clip class"]:
    """Fit on the train side, scaling included; give every clip's share of each class.

    Shares are the softmax of the classifier's scores: probabilities of a logistic
    regression; of an SVM they keep the order and no more.

    Args:
        classifier: Row of the table.
        sample: Statistics of every clip.
        labels: Classes of every clip; those of clips that are not trained on are not
            looked at.
        train: Positions of the clips trained on.
        classes: How many there are; what nobody trained on shows gets nothing.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(sample[train])
    model = classifier.make(classifier.settings, sample.shape[1])
    model.fit(scaler.transform(sample[train]), labels[train])
    found = model.decision_function(scaler.transform(sample))
    if found.ndim == 1:
        # Of two classes scikit-learn gives the second one's lead.
        found = np.stack([np.zeros(len(found)), found], axis=1)
    scores = np.full((len(sample), classes), -np.inf)
    scores[:, model.classes_] = found
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _tested(baseline: Baseline, sample: Sample) -> Iterator[tuple[FoldResult, str]]:
    """Give each fold's record, and a line about it."""
    clips, classes = baseline.clips, len(baseline.labels.classes)
    for fold in baseline.split:
        started = time.monotonic()
        share = shares(
            baseline.classifier, sample, clips.label, fold.train, classes=classes
        )
        loss = -np.log(share[fold.train, clips.label[fold.train]]).mean()
        record = FoldResult(
            strategy=baseline.name,
            fold=fold.number,
            speakers=fold.speakers,
            train_clips=len(fold.train),
            validated=(),
            history=({"epoch": 1, "loss": float(loss)},),
            clip_id=tuple(clips.clip_id[i] for i in fold.test),
            speaker=tuple(clips.speaker[i] for i in fold.test),
            label=tuple(clips.label[fold.test].tolist()),
            probability=tuple(map(tuple, share[fold.test].tolist())),
        )
        counts = _counts(record, classes=classes)
        yield (
            record,
            f"{baseline.name} fold {fold.number}: WAR {metrics.war(counts):.1%}, UAR "
            f"{metrics.uar(counts):.1%}, trained on {len(fold.train)} clips, tested "
            f"on {len(fold.test)}, {time.monotonic() - started:.1f} s",
        )


def _counts(
    record: FoldResult, *, classes: int
) -> Int64[np.ndarray, "{classes} {classes}"]:
    label = np.array(record.label, dtype=np.int64)
    return metrics.confusion(label, record.predicted(), classes=classes)


def _results(
    baseline: Baseline, statistics: int, records: list[FoldResult]
) -> dict[str, Any]:
    identity, store = baseline.identity(), baseline.store
    classes = len(baseline.labels.classes)
    more = {
        r.fold: {
            "speakers": list(r.speakers),
            "train_clips": r.train_clips,
            "train_loss": r.history[0]["loss"],
        }
        for r in records
    }
    return {
        "format": RESULTS_VERSION,
        "config": identity["config"],
        "store": {
            **identity["store"],
            "corpus": store.spec.corpus,
            "clips": len(store),
            "versions": dict(store.versions),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "classes": list(baseline.labels.classes),
        "strategies": {
            baseline.name: {
                "equation": f"{baseline.classifier.title}, "
                f"{statistics} statistics of the sound",
                "clips": len(baseline.clips.row),
                "left_out": baseline.clips.excluded,
                "notes": baseline.notes,
                **summary.summary(
                    {r.fold: _counts(r, classes=classes) for r in records}, more
                ),
            }
        },
    }
