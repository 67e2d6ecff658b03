"""The ways to tune: each takes folds and gives what became of them, one by one."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmder_train import engine
from mmder_train.augment import varied
from mmder_train.clips import ClipData, Order, loader
from mmder_train.encoders import Encoder
from mmder_train.features import ENCODE_CLIPS, pooled, train_head
from mmder_train.folds import Fold
from mmder_train.fusion import STATISTICS, Look, places_of
from mmder_train.schedule import adamw, cosine
from mmder_train.trial import Run, Trial
from mmder_train.videomae import Classifier, Head

SPEAK_S = 10
"""Seconds between two lines about the same thing."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A fold that was trained, and its test side predicted."""

    fold: Fold
    logits: Float[Tensor, "test class"]
    """In the order of the fold's test clips."""
    loss: float
    """Mean of the last epoch."""
    encoder: Encoder
    head: Head
    seconds: float


class Tune(Protocol):
    """A way to tune."""

    def __call__(
        self, run: Run, trial: Trial, todo: Sequence[Fold], *, workers: int, say: Say
    ) -> Iterator[Outcome]:
        """Train and test each fold.

        Args:
            run: Settings, store and weights.
            trial: The strategy and its clips.
            todo: The folds.
            workers: Processes that read the store.
            say: Takes a line for the user.
        """


def heads(
    run: Run, trial: Trial, todo: Sequence[Fold], *, workers: int, say: Say
) -> Iterator[Outcome]:
    """Encode every clip once, then train a head for each fold."""
    name, start = trial.strategy.name, time.monotonic()
    encoder = run.first_encoder()
    batches = loader(
        _data(run, trial),
        Order(np.arange(len(trial.clips.row))),
        batch=ENCODE_CLIPS[run.device.type],
        workers=workers,
        pin=run.device.type == "cuda",
    )
    paced = _paced(batches, len(trial.clips.row), f"{name}: encoded", say)
    features = pooled(encoder, _inputs(run, trial, paced), device=run.device)
    labels = torch.from_numpy(trial.clips.label)
    say(f"{name}: {len(labels)} clips encoded in {time.monotonic() - start:.1f} s")
    for fold in todo:
        start = time.monotonic()
        head, loss = train_head(
            features,
            labels,
            train=fold.train,
            classes=len(run.labels.classes),
            config=run.config,
        )
        test = torch.from_numpy(fold.test)
        _, logits = engine.apply(head, [(test, features[test])], device=labels.device)
        yield Outcome(
            fold=fold,
            logits=logits,
            loss=loss,
            encoder=encoder,
            head=head,
            seconds=time.monotonic() - start,
        )


def full(
    run: Run, trial: Trial, todo: Sequence[Fold], *, workers: int, say: Say
) -> Iterator[Outcome]:
    """Train the encoder and a head anew for each fold."""
    config, data = run.config, _data(run, trial)
    labels = torch.from_numpy(trial.clips.label).to(run.device)
    workers = 0 if data.hold() else workers
    pin = run.device.type == "cuda"
    for fold in todo:
        start = time.monotonic()
        encoder = run.first_encoder()
        head = Head(encoder.dim, len(run.labels.classes)).to(run.device)
        model = Classifier(encoder, head)
        optimiser = adamw(
            model,
            lr=config.lr,
            weight_decay=config.weight_decay,
            patch_rate=config.patch_rate,
        )
        order = Order(fold.train, seed=config.seed)
        batches = loader(data, order, batch=config.batch, workers=workers, pin=pin)
        set_rate = cosine(optimiser, steps=config.epochs * len(batches))
        loss, spoken = 0.0, start
        for epoch in range(config.epochs):
            order.epoch = epoch
            loss = engine.train_one_epoch(
                model,
                _inputs(run, trial, batches, epoch=epoch, augment=config.augment),
                labels,
                optimiser=optimiser,
                set_rate=set_rate,
                first_step=epoch * len(batches),
                label_smoothing=config.label_smoothing,
            )
            if time.monotonic() - spoken > SPEAK_S:
                spoken = time.monotonic()
                rate = (epoch + 1) * len(order) / (spoken - start)
                left_s = (config.epochs - epoch - 1) * len(order) / rate
                say(
                    f"{trial.strategy.name} fold {fold.number}: epoch {epoch + 1} of "
                    f"{config.epochs}, loss {loss:.3f}, {rate:.1f} clips/s, "
                    f"{left_s:.0f} s left"
                )
        tests = loader(
            data, Order(fold.test), batch=config.batch, workers=workers, pin=pin
        )
        _, logits = engine.apply(model, _inputs(run, trial, tests), device=run.device)
        yield Outcome(
            fold=fold,
            logits=logits,
            loss=loss,
            encoder=encoder,
            head=head,
            seconds=time.monotonic() - start,
        )


TUNING: dict[str, Tune] = {"head": heads, "full": full}


def _data(run: Run, trial: Trial) -> ClipData:
    return ClipData(
        run.store, clips=trial.clips, strategy=trial.strategy, audio=run.config.audio
    )


def _inputs(
    run: Run,
    trial: Trial,
    batches: Iterable[engine.Batch],
    *,
    epoch: int = 0,
    augment: str = "none",
) -> engine.Inputs:
    config = run.config
    epoch = epoch if config.rfas_resample else 0
    return engine.inputs(
        batches,
        strategy=trial.strategy,
        look=Look(
            audio=config.audio,
            colour=config.colour,
            scale=config.scale,
            statistics=STATISTICS[config.statistics or "imagenet"],
            sample_rate_hz=run.store.spec.settings.sample_rate_hz,
        ),
        places=places_of(trial.clips.clip_id, seed=config.seed, epoch=epoch),
        device=run.device,
        vary_sound=varied if augment == "sound" else None,
    )


def _paced(
    batches: Iterable[engine.Batch], total: int, what: str, say: Say
) -> Iterator[engine.Batch]:
    """Pass batches on, with a line about the rate now and then."""
    start = spoken = time.monotonic()
    clips = 0
    for batch in batches:
        yield batch
        clips += len(batch["clip"])
        now = time.monotonic()
        if now - spoken > SPEAK_S:
            spoken = now
            rate = clips / (now - start)
            left_s = (total - clips) / rate
            say(f"{what} {clips} of {total}, {rate:.1f} clips/s, {left_s:.0f} s left")
