"""`--tune head`: a clip goes through the frozen encoder once, whatever the folds."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmder_store.errors import MmderError
from mmder_train import engine, features
from mmder_train.clips import Order, encodable, loader
from mmder_train.folds import Fold
from mmder_train.heads import train_head
from mmder_train.lessons import Batch, inputs, stored
from mmder_train.outcome import Means, Outcome
from mmder_train.progress import Progress
from mmder_train.trial import Run, Trial

ENCODE_CLIPS = {"cpu": 8, "cuda": 32}
"""Clips through the frozen encoder at once."""


def heads(
    run: Run, trial: Trial, todo: Sequence[Fold], means: Means
) -> Iterator[Outcome]:
    """Get every clip's features, then train a head for each fold."""
    every = encodable(run.store, strategy=trial.strategy)
    found = _features(run, replace(trial, clips=every), means)
    # In the order of the trial's clips, which are some of these.
    found = found[np.searchsorted(every.row, trial.clips.row)]
    labels = torch.from_numpy(trial.clips.label)
    for fold in todo:
        start = time.monotonic()
        means.progress.begin(
            f"{trial.strategy.name} fold {fold.number}",
            clips=run.config.epochs * len(fold.train),
        )
        head, history = train_head(
            found,
            labels,
            fold=fold,
            classes=len(run.labels.classes),
            config=run.config,
            clip_ids=trial.clips.clip_id,
            progress=means.progress,
        )
        test = torch.from_numpy(fold.test)
        _, logits = engine.apply(head, [(test, found[test])], device=labels.device)
        yield Outcome(
            fold=fold,
            logits=logits,
            history=history,
            encoder=None,
            head=head,
            seconds=time.monotonic() - start,
        )


def _features(run: Run, trial: Trial, means: Means) -> Float[Tensor, "clip dim"]:
    """Read the features of all clips, or make and keep them.

    Clips of all label sets are encoded, whichever is trained: the next asks for others.
    """
    name, start, say = trial.strategy.name, time.monotonic(), means.progress.say
    ids, clips = trial.clips.clip_id, len(trial.clips.row)
    made_by = features.recipe(run, trial.strategy)
    path = run.features and run.features / features.file_name(made_by)
    if path is not None:
        kept = features.read(path, clip_ids=ids, dim=run.dim, made_by=made_by)
        # Another run may write them just now: all encode, or none does.
        everywhere = all(means.group.gathered(kept is not None))
        if kept is not None and everywhere:
            say(f"{name}: features of {clips} clips read from {path}")
            return kept
    made = _encoded(run, trial, means)
    seconds = time.monotonic() - start
    said = f"{name}: {clips} clips encoded in {seconds:.1f} s, {clips / seconds:.1f}/s"
    if path is None:
        say(f"{said}; features are not kept")
        return made
    try:
        if means.group.leads:
            features.write(path, made, clip_ids=ids, made_by=made_by)
    except OSError as error:
        say(
            f"{said}; features cannot be kept in {path.parent} ({error.strerror}), "
            "--features names another place"
        )
    else:
        say(f"{said}; features kept in {path}")
    return made


def _encoded(run: Run, trial: Trial, means: Means) -> Float[Tensor, "clip dim"]:
    name, ids = trial.strategy.name, trial.clips.clip_id
    batches = loader(
        stored(run, trial),
        Order(
            np.arange(len(ids)), batch=ENCODE_CLIPS[run.device.type], group=means.group
        ),
        workers=means.workers,
        pin=run.device.type == "cuda",
    )
    means.progress.begin(f"{name}: encoding", clips=len(ids))
    made = features.pooled(
        run.first_encoder(),
        inputs(run, trial, _counted(batches, means.progress)),
        device=run.device,
        group=means.group,
    )
    odd = (~made.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if odd:
        msg = (
            f"{name}: the encoder gives no number for {len(odd)} clips, the first "
            f"{ids[odd[0]]!r}. Look at the weights, and at the store with mmder-prep "
            "verify."
        )
        raise MmderError(msg)
    return made


def _counted(batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
    """Pass batches on, and count them."""
    waiting = time.monotonic()
    for batch in batches:
        waited_s = time.monotonic() - waiting
        yield batch
        progress.step(clips=len(batch["clip"]), waited_s=waited_s)
        waiting = time.monotonic()
