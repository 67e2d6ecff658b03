"""The ways to tune: each takes folds and gives what became of them, one by one."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Int64
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]
from torch import Tensor, nn

from mmder_train import engine
from mmder_train.checkpoint import Checkpoint, asked_to_stop
from mmder_train.clips import Order, loader
from mmder_train.distributed import Group
from mmder_train.encoders import Encoder
from mmder_train.folds import Fold
from mmder_train.frozen import heads
from mmder_train.judging import judged
from mmder_train.learner import Learner
from mmder_train.lessons import Lessons, inputs, stored
from mmder_train.outcome import Means, Outcome, Tune
from mmder_train.schedule import adamw, cosine
from mmder_train.trial import Run, Trial
from mmder_train.videomae import Classifier, Head


def full(
    run: Run, trial: Trial, todo: Sequence[Fold], means: Means
) -> Iterator[Outcome]:
    """Train the encoder and a head anew for each fold."""
    config, data, group = run.config, stored(run, trial), means.group
    labels = torch.from_numpy(trial.clips.label)
    workers = 0 if data.hold() else means.workers
    pin = run.device.type == "cuda"

    def side(model: nn.Module, index: Int64[np.ndarray, " clip"]) -> Tensor:
        """Give the logits of one side of a fold."""
        order = Order(index, batch=config.batch, group=group)
        batches = loader(data, order, workers=workers, pin=pin)
        _, logits = engine.apply(
            model, inputs(run, trial, batches), device=run.device, group=group
        )
        return logits

    for fold in todo:
        start = time.monotonic()
        encoder = run.first_encoder()
        head = Head(encoder.dim, len(run.labels.classes)).to(run.device)
        model = Classifier(encoder, head)
        # Each process draws its own tokens and noise, after all drew the same weights.
        torch.manual_seed(config.seed + group.rank * 1_000_003)
        order = Order(fold.train, batch=config.batch, seed=config.seed, group=group)
        batches = loader(data, order, workers=workers, pin=pin)
        learner = _learner(run, model, steps=len(order), group=group)
        lessons = Lessons(run=run, trial=trial, batches=batches, order=order)
        name = f"{trial.strategy.name} fold {fold.number}"
        means.progress.begin(name, clips=config.epochs * len(fold.train))

        def judge(module: nn.Module, fold: Fold = fold) -> dict[str, float]:
            return judged(config, fold, labels, lambda index: side(module, index))

        course = engine.Course(
            lessons=lessons,
            steps=len(order),
            epochs=config.epochs,
            parts=config.accumulate,
            judge=judge,
            patience=config.patience,
            clip_ids=trial.clips.clip_id,
        )
        with asked_to_stop() as asked:
            checkpoint = Checkpoint(
                path=means.checkpoints / f"{trial.strategy.name}-{fold.number}",
                identity=run.identity(),
                asked=asked,
                every_s=means.save_every_s,
                group=group,
            )
            engine.learn(
                learner, course, progress=means.progress, checkpoint=checkpoint
            )
        tested = learner.tested
        assert isinstance(tested, Classifier)
        yield Outcome(
            fold=fold,
            logits=side(tested, fold.test),
            history=learner.history,
            encoder=cast("Encoder", tested.encoder),
            head=tested.head,
            seconds=time.monotonic() - start,
        )
        checkpoint.drop()


TUNING: dict[str, Tune] = {"head": heads, "full": full}


def _learner(run: Run, model: Classifier, *, steps: int, group: Group) -> Learner:
    config = run.config
    optimiser = adamw(
        model,
        lr=config.lr,
        weight_decay=config.weight_decay,
        patch_rate=config.patch_rate,
        layer_decay=config.layer_decay,
    )
    average = None
    if config.ema:
        # Warmed up, or the first random weights would stay in it for long.
        average = ModelEmaV3(model, decay=config.ema, use_warmup=True)
    return Learner(
        model=model,
        optimiser=optimiser,
        set_rate=cosine(optimiser, steps=config.epochs * steps, warm_up=config.warm_up),
        device=run.device,
        group=group,
        label_smoothing=config.label_smoothing,
        clip_norm=config.clip_norm,
        average=average,
    )
