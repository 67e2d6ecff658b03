"""The ways to tune: each takes folds and gives what became of them, one by one."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Int64
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]
from torch import Tensor, nn

from mmder_train.data.folds import Fold
from mmder_train.data.loader import create_loader
from mmder_train.data.sampler import BatchSampler
from mmder_train.evaluation.validation import validate
from mmder_train.experiment.batches import EpochBatches, create_dataset, fused_batches
from mmder_train.experiment.linear_probe import linear_probe
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import FoldOutput, RuntimeContext, TuningMethod
from mmder_train.models.classifier import Classifier
from mmder_train.models.registry import Encoder
from mmder_train.models.videomae import Head
from mmder_train.runtime.distributed import WorldInfo
from mmder_train.runtime.signals import stop_on_signal
from mmder_train.training import evaluate, trainer
from mmder_train.training.checkpoint import Checkpoint
from mmder_train.training.optim import create_optimizer, warmup_cosine
from mmder_train.training.train_state import TrainState


def finetune(
    run: Experiment, trial: StrategyRun, todo: Sequence[Fold], means: RuntimeContext
) -> Iterator[FoldOutput]:
    """Train the encoder and a head anew for each fold."""
    config, data, group = run.config, create_dataset(run, trial), means.world
    labels = torch.from_numpy(trial.clips.label)
    workers = 0 if data.preload() else means.workers
    pin = run.device.type == "cuda"

    def side(model: nn.Module, index: Int64[np.ndarray, " clip"]) -> Tensor:
        """Give the logits of one side of a fold."""
        order = BatchSampler(index, batch=config.batch_size, group=group)
        batches = create_loader(data, order, workers=workers, pin=pin)
        _, logits = evaluate.collect_outputs(
            model, fused_batches(run, trial, batches), device=run.device, group=group
        )
        return logits

    for fold in todo:
        start = time.monotonic()
        encoder = run.initial_encoder()
        head = Head(encoder.dim, len(run.labels.classes)).to(run.device)
        model = Classifier(encoder, head)
        # Each process draws its own tokens and noise, after all drew the same weights.
        torch.manual_seed(config.seed + group.rank * 1_000_003)
        order = BatchSampler(
            fold.train, batch=config.batch_size, seed=config.seed, group=group
        )
        batches = create_loader(data, order, workers=workers, pin=pin)
        learner = _create_train_state(run, model, steps=len(order), group=group)
        lessons = EpochBatches(run=run, trial=trial, batches=batches, order=order)
        name = f"{trial.strategy.name} fold {fold.number}"
        means.progress.begin(name, clips=config.epochs * len(fold.train))

        def judge(module: nn.Module, fold: Fold = fold) -> dict[str, float]:
            return validate(config, fold, labels, lambda index: side(module, index))

        course = trainer.FitPlan(
            epoch_batches=lessons,
            steps_per_epoch=len(order),
            epochs=config.epochs,
            micro_batches=config.grad_accum_steps,
            validate=judge,
            patience=config.patience,
            clip_ids=trial.clips.clip_id,
        )
        with stop_on_signal() as asked:
            checkpoint = Checkpoint(
                path=means.checkpoints / f"{trial.strategy.name}-{fold.number}",
                identity=run.identity(),
                stop_request=asked,
                every_s=means.save_every_s,
                world=group,
            )
            trainer.fit(learner, course, progress=means.progress, checkpoint=checkpoint)
        tested = learner.eval_model
        assert isinstance(tested, Classifier)
        yield FoldOutput(
            fold=fold,
            logits=side(tested, fold.test),
            history=learner.history,
            encoder=cast("Encoder", tested.encoder),
            head=tested.head,
            seconds=time.monotonic() - start,
        )
        checkpoint.delete()


TUNING_METHODS: dict[str, TuningMethod] = {
    "linear-probe": linear_probe,
    "finetune": finetune,
}


def _create_train_state(
    run: Experiment, model: Classifier, *, steps: int, group: WorldInfo
) -> TrainState:
    config = run.config
    optimiser = create_optimizer(
        model,
        lr=config.lr,
        weight_decay=config.weight_decay,
        patch_rate=config.patch_lr_scale,
        layer_decay=config.layer_decay,
    )
    average = None
    if config.ema_decay:
        # Warmed up, or the first random weights would stay in it for long.
        average = ModelEmaV3(model, decay=config.ema_decay, use_warmup=True)
    return TrainState(
        model=model,
        optimizer=optimiser,
        set_lr=warmup_cosine(
            optimiser, steps=config.epochs * steps, warm_up=config.warmup
        ),
        device=run.device,
        world=group,
        label_smoothing=config.label_smoothing,
        clip_grad=config.clip_grad,
        ema=average,
    )
