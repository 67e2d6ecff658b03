"""Fine-tuning (`--method finetune`): encoder and head are trained for each fold."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]
from torch import Tensor, nn

from mmder_train.config.recipes import BASE_CLIPS
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.class_weights import class_weight
from mmder_train.data.folds import Fold
from mmder_train.data.modality_dropout import can_lack
from mmder_train.evaluation.validation import validate
from mmder_train.experiment.batches import FusedBatches, create_feed
from mmder_train.experiment.setup import Experiment
from mmder_train.experiment.types import (
    FoldOutput,
    RuntimeContext,
    UnfinishedFolds,
    metric_tags,
)
from mmder_train.fusion.types import Modality
from mmder_train.models.classifier import Classifier
from mmder_train.models.registry import Encoder
from mmder_train.models.videomae import Head
from mmder_train.runtime.device import ENCODE_BATCH_SIZE
from mmder_train.runtime.distributed import WorldInfo
from mmder_train.runtime.sharding import shard_model, whole_state_dict
from mmder_train.runtime.signals import stop_on_signal
from mmder_train.training import evaluate, trainer
from mmder_train.training.checkpoint import Checkpoint
from mmder_train.training.optim import create_optimizer, warmup_cosine
from mmder_train.training.train_state import TrainState

RANK_SEED_STEP = 1_000_003
"""Difference between the random seeds of two training processes."""


def finetune(
    experiment: Experiment, unfinished: UnfinishedFolds, context: RuntimeContext
) -> Iterator[FoldOutput]:
    """Train the initial encoder and a new head for each fold, and test them.

    Args:
        experiment: Settings, store and weights.
        unfinished: Strategies and their folds that are not finished.
        context: Runtime resources.

    Yields:
        The trained models of a fold, and the predictions on its test side.
    """
    runs = [strategy_run for strategy_run, folds in unfinished if folds]
    if not runs:
        return
    feed = create_feed(experiment, runs, context, rereads=True)
    for strategy_run, folds in unfinished:
        if folds:
            of_seed = experiment.of_seed(strategy_run.seed)
            fused = FusedBatches(of_seed, strategy_run, feed, world=context.world)
            yield from _finetune_strategy(of_seed, fused, folds, context)


def _finetune_strategy(
    experiment: Experiment,
    fused: FusedBatches,
    folds: Sequence[Fold],
    context: RuntimeContext,
) -> Iterator[FoldOutput]:
    config, device, world = experiment.config, experiment.device, context.world
    strategy_run = fused.strategy_run
    labels = torch.from_numpy(strategy_run.clips.label)
    context.progress.log(describe_learning_rate(config, world))
    if context.shard_weights:
        context.progress.log(f"weights are divided among {world.world_size} processes")

    def logits(
        model: nn.Module,
        index: Int64[np.ndarray, " side"],
        dropped: Modality | None = None,
    ) -> Tensor:
        return classifier_logits(model, fused, index, world=world, dropped=dropped)

    for fold in folds:
        start = time.monotonic()
        encoder = experiment.initial_encoder()
        head = _initial_head(experiment).to(device)
        # All processes drew the same weights; each draws its own tokens and noise.
        torch.manual_seed(config.seed + world.rank * RANK_SEED_STEP)
        train_batches = fused.for_training(fold.train)
        state = _create_train_state(
            experiment,
            Classifier(encoder, head),
            steps=config.epochs * len(train_batches),
            class_weight=class_weight(
                config.class_weights,
                strategy_run.clips.label[fold.train],
                classes=len(experiment.labels.classes),
            ),
            context=context,
        )
        name = strategy_run.name
        context.progress.begin(
            f"{name} {fold.title}", clips=config.epochs * len(fold.train)
        )

        def score_epoch(model: nn.Module, fold: Fold = fold) -> dict[str, float]:
            return validate(config, fold, labels, lambda index: logits(model, index))

        plan = trainer.FitPlan(
            epoch_batches=train_batches,
            steps_per_epoch=len(train_batches),
            epochs=config.epochs,
            grad_accum_steps=config.grad_accum_steps,
            validate=score_epoch,
            patience=config.patience,
            clip_ids=strategy_run.clips.clip_id,
            tags=metric_tags(strategy_run, fold),
        )
        with stop_on_signal() as stop_request:
            checkpoint = Checkpoint(
                path=context.checkpoints / f"{name}-{fold.number}",
                identity=experiment.identity(),
                stop_request=stop_request,
                save_every_s=context.save_every_s,
                world=world,
            )
            trainer.fit(state, plan, progress=context.progress, checkpoint=checkpoint)
        tested = logits(state.eval_model, fold.test)
        dropped_logits: dict[str, Tensor] = {
            m: logits(state.eval_model, fold.test, m)
            for m in can_lack(strategy_run.strategy, config.drop_modality)
        }
        model = _whole_model(experiment, state)
        yield FoldOutput(
            strategy_run=strategy_run,
            fold=fold,
            logits=tested,
            dropped_logits=dropped_logits,
            history=state.history,
            encoder=cast("Encoder", model.encoder),
            head=model.head,
            seconds=time.monotonic() - start,
        )
        # Only here, because the caller has now written the fold's results.
        checkpoint.delete()


def classifier_logits(
    model: nn.Module,
    fused: FusedBatches,
    index: Int64[np.ndarray, " side"],
    *,
    world: WorldInfo,
    dropped: Modality | None = None,
) -> Float[Tensor, "side class"]:
    """Return the outputs of a classifier for some clips, averaged over their views.

    Args:
        model: Encoder with head.
        fused: Encoder inputs of the clips.
        index: Positions of the clips.
        world: Processes that share the clips.
        dropped: Modality that all clips lack, or None.
    """
    experiment = fused.experiment
    if not len(index):
        return torch.empty(0, len(experiment.labels.classes))
    device = experiment.device
    views = []
    for mirrored in (False, True)[: experiment.config.views]:
        batches = fused.in_order(
            index,
            batch_size=ENCODE_BATCH_SIZE[device.type] * world.world_size,
            mirrored=mirrored,
            dropped=dropped,
        )
        views.append(
            evaluate.collect_outputs(model, batches, device=device, world=world)[1]
        )
    return evaluate.average_views(views)


def describe_learning_rate(config: TrainConfig, world: WorldInfo) -> str:
    """Return a line about the learning rate of a run and its origin."""
    origin = "not scaled"
    if config.base_lr is not None:
        origin = f"{config.base_lr:g} per {BASE_CLIPS} clips"
    return (
        f"learning rate {config.lr:g} ({origin}), {config.batch_size} clips per step, "
        f"number of processes {world.world_size}"
    )


def _initial_head(experiment: Experiment) -> Head:
    return Head(
        experiment.feature_dim,
        len(experiment.labels.classes),
        init_scale=experiment.config.head_init_scale,
        dropout=experiment.config.head_dropout,
    )


def _create_train_state(
    experiment: Experiment,
    model: Classifier,
    *,
    steps: int,
    class_weight: Float64[np.ndarray, " class"] | None,
    context: RuntimeContext,
) -> TrainState:
    config = experiment.config
    ema = None
    if config.ema_decay:
        # With warmup, or the random initial weights would dominate it for long.
        ema = ModelEmaV3(model, decay=config.ema_decay, use_warmup=True)
    if context.shard_weights:
        copies = [model] if ema is None else [model, cast("Classifier", ema.module)]
        for copy in copies:
            shard_model(
                copy,
                copy.encoder.get_submodule("blocks").children(),
                kind=experiment.device.type,
                world=context.world,
            )
    # After the weights are divided, so that its moments are divided like them.
    optimizer = create_optimizer(
        model,
        lr=config.lr,
        weight_decay=config.weight_decay,
        patch_lr_scale=config.patch_lr_scale,
        layer_decay=config.layer_decay,
    )
    return TrainState(
        model=model,
        optimizer=optimizer,
        set_lr=warmup_cosine(optimizer, steps=steps, warmup=config.warmup),
        device=experiment.device,
        world=context.world,
        label_smoothing=config.label_smoothing,
        class_weight=(
            None
            if class_weight is None
            else torch.from_numpy(class_weight).float().to(experiment.device)
        ),
        clip_grad=config.clip_grad,
        static_graph=config.grad_accum_steps == 1,
        ema=ema,
    )


def _whole_model(experiment: Experiment, state: TrainState) -> Classifier:
    """Return the evaluated model. If its weights are divided, return a whole copy."""
    model = state.eval_model
    assert isinstance(model, Classifier)
    if not state.sharded:
        return model
    tensors = whole_state_dict(model)
    whole = Classifier(experiment.build_encoder(), _initial_head(experiment))
    whole.load_state_dict(tensors)
    return whole
