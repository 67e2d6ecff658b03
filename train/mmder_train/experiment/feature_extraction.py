"""TODO."""

import time
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mmder_store.errors import MmderError
from mmder_train.data.loader import create_loader
from mmder_train.data.sampler import BatchSampler
from mmder_train.experiment import feature_cache
from mmder_train.experiment.batches import Batch, create_dataset, fused_batches
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import RuntimeContext
from mmder_train.runtime.device import ENCODE_BATCH_SIZE
from mmder_train.runtime.progress import Progress


def load_or_extract_features(
    run: Experiment, trial: StrategyRun, means: RuntimeContext
) -> Float[Tensor, "clip dim"]:
    """Read the features of all clips, or make and keep them.

    Clips of all label sets are encoded, whichever is trained: the next asks for others.
    """
    name, start, say = trial.strategy.name, time.monotonic(), means.progress.log
    ids, clips = trial.clips.clip_id, len(trial.clips.row)
    made_by = feature_cache.cache_key(run, trial.strategy)
    path = run.feature_cache_dir and run.feature_cache_dir / feature_cache.file_name(
        made_by
    )
    if path is not None:
        kept = feature_cache.read(
            path, clip_ids=ids, dim=run.feature_dim, made_by=made_by
        )
        # Another run may write them just now: all encode, or none does.
        everywhere = all(means.world.all_gather(kept is not None))
        if kept is not None and everywhere:
            say(f"{name}: features of {clips} clips read from {path}")
            return kept
    made = _extract_all(run, trial, means)
    seconds = time.monotonic() - start
    said = f"{name}: {clips} clips encoded in {seconds:.1f} s, {clips / seconds:.1f}/s"
    if path is None:
        say(f"{said}; features are not kept")
        return made
    try:
        if means.world.is_primary:
            feature_cache.write(path, made, clip_ids=ids, made_by=made_by)
    except OSError as error:
        say(
            f"{said}; features cannot be kept in {path.parent} ({error.strerror}), "
            "--feature-cache names another place"
        )
    else:
        say(f"{said}; features kept in {path}")
    return made


def _extract_all(
    run: Experiment, trial: StrategyRun, means: RuntimeContext
) -> Float[Tensor, "clip dim"]:
    name, ids = trial.strategy.name, trial.clips.clip_id
    batches = create_loader(
        create_dataset(run, trial),
        BatchSampler(
            np.arange(len(ids)),
            batch=ENCODE_BATCH_SIZE[run.device.type],
            group=means.world,
        ),
        workers=means.workers,
        pin=run.device.type == "cuda",
    )
    means.progress.begin(f"{name}: encoding", clips=len(ids))
    made = feature_cache.extract_features(
        run.initial_encoder(),
        fused_batches(run, trial, _with_progress(batches, means.progress)),
        device=run.device,
        group=means.world,
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


def _with_progress(batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
    """Pass batches on, and count them."""
    waiting = time.monotonic()
    for batch in batches:
        waited_s = time.monotonic() - waiting
        yield batch
        progress.step(clips=len(batch["clip"]), waited_s=waited_s)
        waiting = time.monotonic()
