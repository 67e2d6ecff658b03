"""Table of a frozen encoder's features: clips, folds, and one vector per strategy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.clip_hashes import clip_hashes
from mmder_train.data.folds import SPEAKERS, contiguous, fold_numbers
from mmder_train.data.selection import (
    choose_labels,
    excluded_text,
    labeled_speakers,
    select_clips,
    take_clips,
)
from mmder_train.experiment import feature_cache
from mmder_train.experiment.feature_extraction import clip_features
from mmder_train.experiment.setup import Experiment, StrategyRun, resolve_model
from mmder_train.experiment.types import RuntimeContext
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.weights.seen_clips import read_seen_clips

FORMAT_VERSION = 1
"""Version of the columns and of the metadata."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureTable:
    """Features of a store's clips, one row per clip."""

    clip_id: tuple[str, ...]
    speaker: tuple[str, ...]
    emotion: tuple[str, ...]
    """Emotion in the store."""
    class_name: tuple[str, ...]
    """Class of the emotion in the label set."""
    folds: Mapping[str, Int64[np.ndarray, " clip"]]
    """Fold that tests each clip, by protocol. It is 0 for a clip that every fold trains
    on, and -1 for a clip that no fold uses."""
    seen: Bool[np.ndarray, " clip"]
    """True if the encoder was trained on the clip or on its speaker, as far as its
    weights file lists that."""
    features: Mapping[str, Float32[np.ndarray, "clip dim"]]
    """Features by strategy."""
    metadata: Mapping[str, Any]
    """Store, label set, and everything that determines the features, as JSON values."""

    def columns(self) -> dict[str, np.ndarray]:
        """Return all columns by their name in a file, without objects."""
        return {
            "clip_id": np.array(self.clip_id, dtype=np.str_),
            "speaker": np.array(self.speaker, dtype=np.str_),
            "emotion": np.array(self.emotion, dtype=np.str_),
            "class": np.array(self.class_name, dtype=np.str_),
            **{f"fold_{name}": numbers for name, numbers in self.folds.items()},
            "seen_by_encoder": self.seen,
            **{f"features_{name}": x for name, x in self.features.items()},
        }


def setup_features(
    store: Store, config: TrainConfig, feature_cache_dir: Path | None
) -> Experiment:
    """Check that the store and the weights fit the settings, and select the clips.

    The clips are those that all strategies can use. There are no folds.

    Args:
        store: A sealed store.
        config: Settings. Empty `labels` select the store's first. An empty `encoder`
            and None select the value that the weights expect.
        feature_cache_dir: Folder of cached features.

    Raises:
        MmderError: If they do not fit, or if no clip is left.
    """
    labels = choose_labels(store, config.labels)
    model = resolve_model(config)
    selected = {
        name: select_clips(store, strategy=STRATEGIES[name], labels=labels)
        for name in config.strategies
    }
    rows = reduce(np.intersect1d, [clips.row for clips in selected.values()])
    if not len(rows):
        msg = (
            f"--strategy {','.join(selected)}: no clip of store {store.path.name} can "
            "be used by all of them. Write one file per strategy."
        )
        raise SettingsError(msg)
    runs = []
    for name, clips in selected.items():
        warnings = [excluded_text(clips.excluded)] if clips.excluded else []
        if len(rows) < len(clips.row):
            warnings.append(
                f"{len(clips.row) - len(rows)} clips excluded, because another "
                "strategy cannot use them"
            )
        runs.append(
            StrategyRun(
                name=name,
                strategy=STRATEGIES[name],
                seed=model.config.seed,
                clips=take_clips(clips, np.searchsorted(clips.row, rows)),
                folds=(),
                warnings=warnings,
            )
        )
    return Experiment(
        config=replace(model.config, labels=labels.name),
        store=store,
        labels=labels,
        weights=model.weights,
        strategies=tuple(runs),
        feature_dim=model.feature_dim,
        feature_cache_dir=feature_cache_dir,
    )


def build_feature_table(
    experiment: Experiment, context: RuntimeContext
) -> FeatureTable:
    """Load or extract the features of all clips.

    Args:
        experiment: Experiment from `setup_features`.
        context: Runtime resources.
    """
    log = context.progress.log
    if experiment.weights is None:
        log("the encoder has random weights: for trying out, not for results")
    store, labels = experiment.store, experiment.labels
    for run in experiment.strategies:
        for warning in run.warnings:
            log(f"{run.strategy.name}: {warning}")
    extracted = clip_features(experiment, experiment.strategies, context)
    features = {
        run.strategy.name: x.numpy()
        for run, x in zip(experiment.strategies, extracted, strict=True)
    }
    clips = experiment.strategies[0].clips
    protocols = {p.name: p for p in store.spec.protocols}
    protocols.setdefault(SPEAKERS, contiguous(labeled_speakers(store, labels)))
    return FeatureTable(
        clip_id=clips.clip_id,
        speaker=clips.speaker,
        emotion=tuple(str(store.columns["emotion"][i]) for i in clips.row),
        class_name=tuple(labels.classes[i] for i in clips.label),
        folds={
            name: fold_numbers(clips.speaker, protocol)
            for name, protocol in protocols.items()
        },
        seen=seen_by_encoder(experiment),
        features=features,
        metadata={
            "format": FORMAT_VERSION,
            "store": {
                "name": experiment.store_name,
                "sha256": store.sha256,
                "corpus": store.spec.corpus,
            },
            "labels": labels.name,
            "classes": list(labels.classes),
            "weights": experiment.config.weights,
            "features": {
                run.strategy.name: feature_cache.cache_key(experiment, run.strategy)
                for run in experiment.strategies
            },
        },
    )


def seen_by_encoder(experiment: Experiment) -> Bool[np.ndarray, " clip"]:
    """Return which clips, or whose speakers, the encoder was trained on."""
    clips, store = experiment.strategies[0].clips, experiment.store
    seen = np.zeros(len(clips.row), dtype=np.bool_)
    loaded = experiment.weights
    if loaded is None:
        return seen
    known = read_seen_clips(loaded.name, loaded.metadata)
    if known is not None:
        hashes = clip_hashes(store, clips.row.tolist())
        seen[known.seen(hashes, clips.speaker, store.spec.corpus)] = True
    if loaded.metadata.get("store_sha256") == store.sha256:
        trained = _finetuned_on(loaded.metadata)
        people = {
            speaker
            for clip_id, speaker in zip(clips.clip_id, clips.speaker, strict=True)
            if clip_id in trained
        }
        seen |= np.array([speaker in people for speaker in clips.speaker])
    return seen


def _finetuned_on(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Return the clips that an encoder was fine-tuned on, by mmder's own metadata."""
    config, clips = metadata.get("config"), metadata.get("trained_clips")
    if not isinstance(config, dict) or config.get("method") != "finetune":
        return frozenset()
    return frozenset(map(str, clips)) if isinstance(clips, list) else frozenset()
