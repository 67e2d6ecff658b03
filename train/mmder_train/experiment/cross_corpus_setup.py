"""Stores that a run is tested on after training on all clips of its own store."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmder_store import LabelSet, Store
from mmder_store.errors import SettingsError
from mmder_store.protocols import SpeakerSeparation
from mmder_store.settings import PrepSettings
from mmder_train.data.clip_hashes import clip_hashes
from mmder_train.data.folds import whole
from mmder_train.data.selection import (
    ClipSelection,
    choose_labels,
    excluded_text,
    select_clips,
    take_clips,
)
from mmder_train.experiment.seen_check import SeenFold, find_seen_folds
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.fusion.strategies import STRATEGIES, Strategy

VIDEO_SETTINGS = ("step_frames", "face_crop", "face_margin")
"""Settings of a store that determine the frames."""
AUDIO_SETTINGS = (
    *("step_frames", "sample_rate_hz", "fft_samples", "fft_window_samples"),
    *("hop_samples", "mels", "mfccs"),
)
"""Settings of a store that determine the spectrograms."""


@dataclass(frozen=True, kw_only=True)
class CrossCorpusTest:
    """A store to test on, over the classes that the training store has, too."""

    store: Store
    labels: LabelSet
    """Label set of this store."""
    classes: tuple[str, ...]
    """Classes of both stores, in the order of the trained classes."""
    outputs: tuple[int, ...]
    """Index of the trained class of each of `classes`."""
    dropped_train: tuple[str, ...]
    """Trained classes that this store does not have."""
    runs: tuple[StrategyRun, ...]
    """Clips of the common classes by strategy. Their labels are indices in `classes`.
    There are no folds."""
    speakers: SpeakerSeparation
    """Relation of the people in training to those in test."""
    feature_cache_dir: Path | None = None
    """Folder of cached features. None if features are not cached."""

    @property
    def dropped_test(self) -> tuple[str, ...]:
        """Classes of this store that are not trained."""
        return tuple(c for c in self.labels.classes if c not in self.classes)

    @cached_property
    def name(self) -> str:
        """Name of the store's folder, without its path."""
        return self.store.path.resolve().name

    @property
    def key(self) -> str:
        """Part of the names of its files, different for each store."""
        slug = re.sub("[^a-z0-9]+", "-", Path(self.name).stem.lower())[:40]
        return f"{slug.strip('-') or 'store'}-{self.store.sha256[:8]}"

    def describe(self) -> str:
        """Return a line with the classes and the dropped classes."""
        dropped = [
            f"{kind} only: {', '.join(names)}"
            for kind, names in (
                ("trained", self.dropped_train),
                ("test store", self.dropped_test),
            )
            if names
        ]
        rest = f" ({'; '.join(dropped)})" if dropped else ""
        return (
            f"test store {self.name}: classes of both stores {', '.join(self.classes)}"
            f"{rest}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the identity of a run."""
        return {
            "name": self.name,
            "sha256": self.store.sha256,
            "labels": self.labels.name,
        }


def setup_cross_corpus_tests(
    experiment: Experiment, stores: Sequence[tuple[Store, Path | None]]
) -> tuple[CrossCorpusTest, ...]:
    """Check that stores fit a run that will be tested on them, and select their clips.

    Args:
        experiment: Run from `setup.setup_experiment`.
        stores: Sealed stores, each with the folder of its cached features. The label
            set of a store is that of the run if it has one of this name, else its
            first.

    Raises:
        SettingsError: If the run has several seeds, or if a store is named twice, was
            prepared differently, has fewer than two classes in common with the run, or
            has a speaker or a clip of the training store, or if the initial weights
            have seen its clips.
    """
    seeds = experiment.config.seeds
    if seeds and stores:
        msg = (
            f"--test-store: needs one seed, found {len(seeds)} in --seed. Run the "
            "command once per seed; 'mmder-train compare' averages the runs."
        )
        raise SettingsError(msg)
    hashes = [store.sha256 for store, _ in stores]
    for i, (store, _) in enumerate(stores):
        if hashes[i] in hashes[:i]:
            msg = f"--test-store {store.path}: the same store twice. Name it once."
            raise SettingsError(msg)
    return tuple(_setup_test(experiment, store, folder) for store, folder in stores)


def _setup_test(
    experiment: Experiment, store: Store, feature_cache_dir: Path | None
) -> CrossCorpusTest:
    option = f"--test-store {store.path}"
    config = experiment.config
    _check_settings(option, experiment, store)
    names = {s.name for s in store.spec.label_sets}
    labels = choose_labels(store, config.labels if config.labels in names else "")
    trained = experiment.labels.classes
    classes = tuple(c for c in trained if c in labels.classes)
    if len(classes) < 2:
        msg = (
            f"{option}: its classes {', '.join(labels.classes)} have "
            f"{len(classes)} in common with the trained {', '.join(trained)}; expected "
            "two or more. Use another --labels."
        )
        raise SettingsError(msg)
    runs = tuple(
        _select(option, experiment, own, store, labels, classes)
        for own in experiment.strategies
    )
    return CrossCorpusTest(
        store=store,
        labels=labels,
        classes=classes,
        outputs=tuple(trained.index(c) for c in classes),
        dropped_train=tuple(c for c in trained if c not in classes),
        runs=runs,
        speakers=speaker_separation(experiment.store, store),
        feature_cache_dir=feature_cache_dir,
    )


def speaker_separation(trained: Store, tested: Store) -> SpeakerSeparation:
    """Return whether the people of both stores are known to differ.

    They are not if both stores are of one corpus that does not name its people.
    """
    protocols = (*trained.spec.protocols, *tested.spec.protocols)
    unnamed = any(p.speakers == "unknown" for p in protocols)
    return (
        "unknown" if unnamed and trained.spec.corpus == tested.spec.corpus else "apart"
    )


def _check_settings(option: str, experiment: Experiment, store: Store) -> None:
    """Check that frames and spectrograms of both stores mean the same."""
    mine, theirs = experiment.store.spec.settings, store.spec.settings
    names = _relevant([run.strategy for run in experiment.strategies])
    changes = _changes(mine, theirs, names)
    if changes:
        msg = (
            f"{option}: prepared with other settings than {experiment.store_name} "
            f"({', '.join(changes)}). Prepare one of them again with the settings of "
            "the other."
        )
        raise SettingsError(msg)


def _relevant(strategies: Sequence[Strategy]) -> list[str]:
    video = any(s.frames for s in strategies)
    audio = any(s.windows for s in strategies)
    names = (*(VIDEO_SETTINGS if video else ()), *(AUDIO_SETTINGS if audio else ()))
    return list(dict.fromkeys(names))


def _changes(
    mine: PrepSettings, theirs: PrepSettings, names: Sequence[str]
) -> list[str]:
    old: Mapping[str, Any] = asdict(mine)
    new: Mapping[str, Any] = asdict(theirs)
    return [f"{n} {old[n]} and {new[n]}" for n in names if old[n] != new[n]]


def _select(
    option: str,
    experiment: Experiment,
    own: StrategyRun,
    store: Store,
    labels: LabelSet,
    classes: tuple[str, ...],
) -> StrategyRun:
    """Select the clips of the common classes, and check that none was trained on."""
    strategy = own.strategy
    clips = select_clips(store, strategy=STRATEGIES[strategy.name], labels=labels)
    index = np.array([classes.index(c) if c in classes else -1 for c in labels.classes])
    common = index[clips.label]
    kept = np.flatnonzero(common >= 0)
    if not len(kept):
        msg = f"{option}: no clip of the classes {', '.join(classes)}"
        raise SettingsError(msg)
    chosen = replace(take_clips(clips, kept), label=common[kept])
    _check_separate(option, experiment, own.clips, store, chosen)
    warnings = [excluded_text(clips.excluded)] if clips.excluded else []
    if len(kept) < len(clips.row):
        warnings.append(f"{len(clips.row) - len(kept)} clips of dropped classes")
    seen = _check_seen(option, experiment, store, chosen)
    warnings += [f"not valid: {fold}" for fold in seen]
    loaded = experiment.weights
    if loaded is not None and loaded.metadata.get("store_sha256") == store.sha256:
        warnings.append(
            f"weights {loaded.name} were trained on this very store: they have seen "
            "speakers that are tested here"
        )
    return replace(own, clips=chosen, folds=(), warnings=warnings, seen=seen)


def _check_separate(
    option: str,
    experiment: Experiment,
    trained: ClipSelection,
    store: Store,
    tested: ClipSelection,
) -> None:
    """Check that the stores have no speaker and no recording in common.

    Speaker names are compared within a corpus: other corpora have other speakers of the
    same name.
    """
    name = experiment.store_name
    if store.spec.corpus == experiment.store.spec.corpus:
        both = sorted(set(trained.speaker) & set(tested.speaker))
        if both:
            msg = (
                f"{option}: {len(both)} of its speakers are in {name}, too, the first "
                f"{both[0]!r}, and both are of the corpus {store.spec.corpus}. "
                "Expected speakers that were not trained on."
            )
            raise SettingsError(msg)
    known = {
        h
        for hashes in clip_hashes(experiment.store, trained.row.tolist())
        for h in hashes
    }
    copies = [
        clip_id
        for clip_id, hashes in zip(
            tested.clip_id, clip_hashes(store, tested.row.tolist()), strict=True
        )
        if not known.isdisjoint(hashes)
    ]
    if copies:
        msg = (
            f"{option}: {len(copies)} of its clips are in {name}, too, the first "
            f"{copies[0]!r}. Expected clips that were not trained on."
        )
        raise SettingsError(msg)


def _check_seen(
    option: str, experiment: Experiment, store: Store, clips: ClipSelection
) -> tuple[SeenFold, ...]:
    """Return the clips that the initial weights have seen, if the user allows them."""
    loaded = experiment.weights
    if loaded is None:
        return ()
    every = replace(
        whole(0), test=np.arange(len(clips.row)), speakers=tuple(set(clips.speaker))
    )
    seen = find_seen_folds(loaded, store, clips, [every])
    if seen and not experiment.config.allow_seen:
        msg = (
            f"{option}: weights {loaded.name} have seen {seen[0].clips} of its "
            f"{seen[0].of} clips in pre-training, or their speakers. Pre-train without "
            "this store, or pass --allow-seen, which marks the result as not valid."
        )
        raise SettingsError(msg)
    return seen
