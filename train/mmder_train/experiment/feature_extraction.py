"""Features of a frozen encoder: read from the cache, or extracted and cached."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmder_store.errors import MmderError
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.modality_dropout import can_lack
from mmder_train.data.selection import select_encodable
from mmder_train.experiment import feature_cache
from mmder_train.experiment.batches import FusedBatches, create_feed
from mmder_train.experiment.feature_parts import FeatureParts
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import RuntimeContext
from mmder_train.fusion.types import Modality
from mmder_train.models.registry import Encoder, input_dtype
from mmder_train.runtime.device import ENCODE_BATCH_SIZE
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.training import evaluate

PART_S = 60.0
"""Seconds of encoding that an interruption loses at most, besides one batch."""
Batch = tuple[Tensor, Tensor]
"""Positions of some clips, and the encoder's input."""


def clip_features(
    experiment: Experiment,
    runs: Sequence[StrategyRun],
    context: RuntimeContext,
    *,
    without: Sequence[str] = (),
) -> Iterator[Float[Tensor, "_ dim"]]:
    """Yield the features of the clips of each strategy, from the cache if possible.

    The clips of all label sets are encoded, so that a run with other labels finds them
    in the cache.

    Args:
        experiment: Settings, store and weights.
        runs: Strategies and their clips. Strategies share the clips that they read.
        context: Runtime resources.
        without: Modalities without which the clips of joint strategies are encoded as
            well. Those features follow the features with both, in the order of
            `MODALITIES`.
    """
    encoded = [
        replace(run, clips=select_encodable(experiment.store, strategy=run.strategy))
        for run in runs
    ]
    rereads = any(can_lack(run.strategy, without) for run in runs)
    feed = create_feed(experiment, encoded, context, rereads=rereads)
    for run, every in zip(runs, encoded, strict=True):
        of_seed = experiment.of_seed(run.seed)
        for dropped in (None, *can_lack(run.strategy, without)):
            features = load_or_extract_features(
                of_seed, every, feed, context, dropped=dropped
            )
            yield features[np.searchsorted(every.clips.row, run.clips.row)]


def load_or_extract_features(
    experiment: Experiment,
    strategy_run: StrategyRun,
    feed: ClipFeed,
    context: RuntimeContext,
    *,
    dropped: Modality | None = None,
) -> Float[Tensor, "clip dim"]:
    """Return the features of all clips, from the cache if they are there.

    Args:
        experiment: Settings, store and weights.
        strategy_run: A strategy and the clips to encode.
        feed: Feed of the run.
        context: Runtime resources.
        dropped: Modality that all clips lack, or None.

    Raises:
        MmderError: If the encoder's outputs are not finite.
        FeaturesError: If the cached features are damaged.
    """
    name, clip_ids = _title(strategy_run, dropped), strategy_run.clips.clip_id
    start, log = time.monotonic(), context.progress.log
    folder = experiment.feature_cache_dir
    if folder is None:
        features, encoded = _extract_all(
            experiment, strategy_run, feed, None, context, dropped
        )
        log(f"{_pace(name, encoded, start)}; features are not cached")
        return features
    key = feature_cache.cache_key(experiment, strategy_run.strategy, dropped)
    path, dim = folder / feature_cache.file_name(key), experiment.feature_dim
    cached = feature_cache.read(path, clip_ids=clip_ids, dim=dim, key=key)
    # Another run may be writing the file: either all processes encode, or none.
    everywhere = all(context.world.all_gather(cached is not None))
    if cached is not None and everywhere:
        log(f"{name}: features of {len(clip_ids)} clips read from {path}")
        return cached
    parts = FeatureParts(path=path, clip_ids=clip_ids, key=key, dim=dim)
    features, encoded = _extract_all(
        experiment, strategy_run, feed, parts, context, dropped
    )
    line = _pace(name, encoded, start)
    current = feature_cache.is_current(experiment)
    try:
        if context.world.is_primary:
            if current:
                feature_cache.write(path, features, clip_ids=clip_ids, key=key)
            parts.delete()
    except OSError as error:
        log(
            f"{line}; features cannot be cached in {folder} ({error.strerror}). "
            "Use --feature-cache to name another folder."
        )
        return features
    if current:
        log(f"{line}; features cached in {path}")
    else:
        log(
            f"{line}; features are not cached, because the store was prepared again "
            "in the meantime"
        )
    return features


def extract_features(
    encoder: Encoder,
    batches: evaluate.InputBatches,
    *,
    device: torch.device,
    world: WorldInfo = SINGLE_PROCESS,
) -> Float[Tensor, "clip dim"]:
    """Return one feature vector per clip, in the order of the clips' positions."""
    return evaluate.collect_outputs(encoder, batches, device=device, world=world)[1]


def _extract_all(
    experiment: Experiment,
    strategy_run: StrategyRun,
    feed: ClipFeed,
    parts: FeatureParts | None,
    context: RuntimeContext,
    dropped: Modality | None,
) -> tuple[Float[Tensor, "clip dim"], int]:
    """Encode the clips that no part holds, and write a part every `PART_S` seconds.

    Returns:
        The features of all clips, and the number of clips that were encoded.
    """
    name, clip_ids = _title(strategy_run, dropped), strategy_run.clips.clip_id
    device, world = experiment.device, context.world
    found = torch.empty(0, experiment.feature_dim) if parts is None else parts.read()
    first = done = min(world.all_gather(len(found)))
    features = [found[:first]]
    if first:
        context.progress.log(f"{name}: features of {first} clips read from parts")
    context.progress.begin(f"{name}: encoding", clips=len(clip_ids), done=first)
    batches = FusedBatches(experiment, strategy_run, feed, world=world).in_order(
        np.arange(first, len(clip_ids)),
        batch_size=ENCODE_BATCH_SIZE[device.type] * world.world_size,
        dropped=dropped,
        dtype=input_dtype(experiment.frozen_encoder),
        progress=context.progress,
    )
    for batch in batches:
        part = extract_features(
            experiment.frozen_encoder,
            chain([batch], _until_due(batches, world)),
            device=device,
            world=world,
        )
        _check_finite(name, clip_ids[done:], part)
        features.append(part)
        done += len(part)
        if parts is not None and world.is_primary and done < len(clip_ids):
            parts = _write_part(experiment, parts, part, done - len(part))
    return torch.cat(features), done - first


def _title(strategy_run: StrategyRun, dropped: Modality | None) -> str:
    """Return the name of a strategy, and of the modality that its clips lack."""
    return strategy_run.strategy.name + (f" without {dropped}" if dropped else "")


def _until_due(batches: Iterator[Batch], world: WorldInfo) -> Iterator[Batch]:
    """Yield batches until a part is due. All processes yield the same number."""
    start = time.monotonic()
    while not world.all_reduce_max(time.monotonic() - start > PART_S):
        batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _write_part(
    experiment: Experiment,
    parts: FeatureParts,
    features: Float[Tensor, "part dim"],
    first: int,
) -> FeatureParts | None:
    """Write a part, and return None if no more parts can be written.

    The reason is reported with the complete features, which cannot be cached either.
    """
    if not feature_cache.is_current(experiment):
        return None
    try:
        parts.write(features, first=first)
    except OSError:
        return None
    return parts


def _check_finite(
    name: str, clip_ids: tuple[str, ...], features: Float[Tensor, "part dim"]
) -> None:
    bad = (~features.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if bad:
        msg = (
            f"{name}: the encoder's output is not finite for {len(bad)} clips, the "
            f"first {clip_ids[bad[0]]!r}. Check the weights, and the store with "
            "mmder-prep verify."
        )
        raise MmderError(msg)


def _pace(name: str, clips: int, start_s: float) -> str:
    seconds = time.monotonic() - start_s
    return f"{name}: {clips} clips encoded in {seconds:.1f} s, {clips / seconds:.1f}/s"
