"""Linear probe (`--method linear-probe`): heads are trained on frozen features.

Each clip goes through the encoder once, for all folds. Then the heads of all folds,
strategies and seeds are trained together.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_train.config.train_config import TrainConfig
from mmder_train.data.class_weights import class_weight
from mmder_train.data.folds import Fold
from mmder_train.data.modality_dropout import can_lack, draw_dropped
from mmder_train.evaluation.validation import validate
from mmder_train.experiment.feature_extraction import clip_features
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import (
    FoldOutput,
    RuntimeContext,
    UnfinishedFolds,
    metric_tags,
)
from mmder_train.fusion.types import MODALITIES, Modality
from mmder_train.training import evaluate
from mmder_train.training.batched_heads import HeadPlan, HeadTask, train_heads

FeatureKey = tuple[str, int | None]
"""Strategy, and its seed if the features depend on it."""
GROUP_BYTES = 1 << 30
"""Maximum size of the features whose heads are trained together."""
Features = Mapping[Modality | None, Float[Tensor, "_clip _dim"]]
"""Features of a strategy's clips: with both modalities (None), and without one.

The sizes differ between strategies, so they are not compared within one call.
"""


def linear_probe(
    experiment: Experiment, unfinished: UnfinishedFolds, context: RuntimeContext
) -> Iterator[FoldOutput]:
    """Load or extract the features of all clips, then train the heads of all folds.

    Strategies and seeds are trained together as far as features fit in memory, and
    seeds that do not change the features share them. The heads of
    finished folds are trained again if another fold of their group is not finished:
    the rounding of a head may depend on the number of heads, and a resumed run shall
    equal an uninterrupted one.

    Args:
        experiment: Settings, store and weights.
        unfinished: Strategies and their folds that are not finished.
        context: Runtime resources.

    Yields:
        The trained head of a fold, and the predictions on its test side.
    """
    missing = {(run.name, fold.number) for run, folds in unfinished for fold in folds}
    names = {name for name, _ in missing}
    groups = [
        group
        for group in _groups(experiment)
        if any(run.name in names for run in group)
    ]
    if not groups:
        return
    distinct: dict[FeatureKey, StrategyRun] = {}
    for run in (run for group in groups for run in group):
        distinct.setdefault(_feature_key(experiment, run), run)
    features = clip_features(
        experiment,
        list(distinct.values()),
        context,
        without=_encoded_without(experiment.config),
    )
    for group in groups:
        for output in _probe_group(experiment, group, features, context):
            if (output.strategy_run.name, output.fold.number) in missing:
                yield output


def train_fold_heads(
    runs: Sequence[tuple[StrategyRun, Features]],
    *,
    config: TrainConfig,
    classes: int,
    context: RuntimeContext,
) -> Iterator[FoldOutput]:
    """Train the heads of all folds of some strategies together, and test them.

    Args:
        runs: Strategies and seeds, each with the features of its clips on one device.
        config: Settings.
        classes: Number of classes.
        context: Runtime resources.

    Yields:
        The trained head of a fold, and the predictions on its test side.
    """
    start = time.monotonic()
    folds = [(run, fold, x) for run, x in runs for fold in run.folds]
    # Seeds share features, and so the rows that are made of them.
    distinct = {id(features): (run, features) for run, features in runs}
    rows = {key: _feature_rows(*pair, config) for key, pair in distinct.items()}
    tasks = [
        task
        for run, features in runs
        for task in _head_tasks(run, features, rows[id(features)], config, classes)
    ]
    names = ", ".join(run.name for run, _ in runs)
    context.progress.begin(
        f"{names}: {len(tasks)} heads",
        clips=config.epochs * sum(len(task.train) for task in tasks),
    )
    plan = HeadPlan(
        classes=classes,
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        weight_decay=config.weight_decay,
        balanced=config.sampler == "balanced",
        patience=config.patience,
    )
    trained = train_heads(tasks, plan, progress=context.progress)
    seconds = time.monotonic() - start
    heads = "1 head" if len(tasks) == 1 else f"{len(tasks)} heads"
    context.progress.log(f"{names}: {heads} trained in {seconds:.1f} s")
    for (run, fold, features), head in zip(folds, trained, strict=True):
        yield FoldOutput(
            strategy_run=run,
            fold=fold,
            logits=head_logits(head.head, features[None], fold.test),
            dropped_logits={
                m: head_logits(head.head, features[m], fold.test)
                for m in can_lack(run.strategy, config.drop_modality)
            },
            history=head.history,
            encoder=None,
            head=head.head,
            seconds=seconds / len(tasks),
        )


def _feature_rows(
    run: StrategyRun, features: Features, config: TrainConfig
) -> Float[Tensor, "row dim"]:
    """Return the features that heads are trained on, see `_row_drawer`."""
    if config.modality_dropout and can_lack(run.strategy):
        return torch.cat([features[m] for m in (None, *MODALITIES)])
    return features[None]


def _head_tasks(
    run: StrategyRun,
    features: Features,
    rows: Float[Tensor, "row dim"],
    config: TrainConfig,
    classes: int,
) -> list[HeadTask]:
    """Return one task per fold of a strategy and a seed. They share the features."""
    draw_rows = None
    if config.modality_dropout and can_lack(run.strategy):
        draw_rows = _row_drawer(run, config.modality_dropout)
    labels = run.clips.label
    return [
        HeadTask(
            title=f"{run.name} {fold.title}",
            features=rows,
            labels=labels,
            train=fold.train,
            seed=run.seed,
            class_weight=class_weight(
                config.class_weights, labels[fold.train], classes=classes
            ),
            clip_ids=run.clips.clip_id,
            draw_rows=draw_rows,
            validate=partial(_score_epoch, config, fold, labels, features[None]),
            tags=metric_tags(run, fold),
        )
        for fold in run.folds
    ]


def _row_drawer(
    run: StrategyRun, probability: float
) -> Callable[[int], Int64[np.ndarray, " clip"]]:
    """Return the function that draws the features of each clip for an epoch.

    Rows of the features are those of all clips with both modalities, then those of all
    clips without each of `MODALITIES`.
    """
    clip_ids = run.clips.clip_id
    block = {name: number for number, name in enumerate((None, *MODALITIES))}

    @lru_cache(maxsize=4)
    def draw(epoch: int) -> Int64[np.ndarray, " clip"]:
        dropped = draw_dropped(
            clip_ids, probability=probability, seed=run.seed, epoch=epoch
        )
        blocks = np.array([block[name] for name in dropped], dtype=np.int64)
        return np.arange(len(clip_ids)) + len(clip_ids) * blocks

    return draw


def _encoded_without(config: TrainConfig) -> Sequence[str]:
    """Return the modalities without which clips are encoded as well."""
    return MODALITIES if config.modality_dropout else config.drop_modality


def _groups(experiment: Experiment) -> list[list[StrategyRun]]:
    """Divide the strategies into groups whose features fit in memory together.

    The groups depend on the settings and the store only, not on what is finished.
    """
    groups: list[list[StrategyRun]] = []
    held = GROUP_BYTES
    last = None
    for run in experiment.strategies:
        size = len(run.clips.row) * experiment.feature_dim * torch.float32.itemsize
        size *= 1 + len(can_lack(run.strategy, _encoded_without(experiment.config)))
        key = _feature_key(experiment, run)
        if key == last:  # the seeds of a strategy follow each other
            size = 0
        elif held + size > GROUP_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(run)
        held += size
        last = key
    return groups


def _feature_key(experiment: Experiment, run: StrategyRun) -> FeatureKey:
    """Return a key that is equal for runs with the same features."""
    seeded = experiment.draws_encoder or run.strategy.shuffles_frames
    return run.strategy.name, run.seed if seeded else None


def _probe_group(
    experiment: Experiment,
    group: Sequence[StrategyRun],
    features: Iterator[Float[Tensor, "_ dim"]],
    context: RuntimeContext,
) -> Iterator[FoldOutput]:
    distinct = {_feature_key(experiment, run): run for run in group}
    by_key: dict[FeatureKey, Features] = {}
    for key, run in distinct.items():
        names = (None, *can_lack(run.strategy, _encoded_without(experiment.config)))
        by_key[key] = {m: next(features).to(experiment.device) for m in names}
    yield from train_fold_heads(
        [(run, by_key[_feature_key(experiment, run)]) for run in group],
        config=experiment.config,
        classes=len(experiment.labels.classes),
        context=context,
    )


def _score_epoch(
    config: TrainConfig,
    fold: Fold,
    labels: Int64[np.ndarray, " clip"],
    features: Float[Tensor, "clip dim"],
    model: nn.Module,
) -> Mapping[str, float]:
    return validate(
        config,
        fold,
        torch.from_numpy(labels),
        lambda index: head_logits(model, features, index),
    )


def head_logits(
    model: nn.Module,
    features: Float[Tensor, "clip dim"],
    index: Int64[np.ndarray, " side"],
) -> Float[Tensor, "side class"]:
    """Return the outputs of a head for some clips.

    Args:
        model: Head.
        features: Features of all clips, on the device of the head.
        index: Positions of the clips.
    """
    positions = torch.from_numpy(index)
    _, logits = evaluate.collect_outputs(
        model,
        [(positions, features[positions.to(features.device)])],
        device=features.device,
    )
    return logits
