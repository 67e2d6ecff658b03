"""Features of a frozen encoder: read from the cache, or extracted and cached."""

import time

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmder_store.errors import MmderError
from mmder_train.experiment import feature_cache
from mmder_train.experiment.batches import FusedBatches
from mmder_train.experiment.setup import Experiment, StrategyRun
from mmder_train.experiment.types import RuntimeContext
from mmder_train.models.registry import Encoder
from mmder_train.runtime.device import ENCODE_BATCH_SIZE
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.training import evaluate


def load_or_extract_features(
    experiment: Experiment, strategy_run: StrategyRun, context: RuntimeContext
) -> Float[Tensor, "clip dim"]:
    """Return the features of all clips, from the cache if they are there.

    The clips are those of all label sets, so that a run with other labels finds them
    in the cache.

    Args:
        experiment: Settings, store and weights.
        strategy_run: A strategy and the clips to encode.
        context: Runtime resources.

    Raises:
        MmderError: If the encoder's outputs are not finite.
        FeaturesError: If the cached features are damaged.
    """
    name, clip_ids = strategy_run.strategy.name, strategy_run.clips.clip_id
    start, log = time.monotonic(), context.progress.log
    key = feature_cache.cache_key(experiment, strategy_run.strategy)
    folder = experiment.feature_cache_dir
    path = folder and folder / feature_cache.file_name(key)
    if path is not None:
        cached = feature_cache.read(
            path, clip_ids=clip_ids, dim=experiment.feature_dim, key=key
        )
        # Another run may be writing the file: either all processes encode, or none.
        everywhere = all(context.world.all_gather(cached is not None))
        if cached is not None and everywhere:
            log(f"{name}: features of {len(clip_ids)} clips read from {path}")
            return cached
    features = _extract_all(experiment, strategy_run, context)
    seconds = time.monotonic() - start
    line = (
        f"{name}: {len(clip_ids)} clips encoded in {seconds:.1f} s, "
        f"{len(clip_ids) / seconds:.1f}/s"
    )
    if path is None:
        log(f"{line}; features are not cached")
        return features
    if not feature_cache.is_current(experiment):
        log(
            f"{line}; features are not cached, because the store was prepared again "
            "in the meantime"
        )
        return features
    try:
        if context.world.is_primary:
            feature_cache.write(path, features, clip_ids=clip_ids, key=key)
    except OSError as error:
        log(
            f"{line}; features cannot be cached in {path.parent} ({error.strerror}). "
            "Use --feature-cache to name another folder."
        )
    else:
        log(f"{line}; features cached in {path}")
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
    experiment: Experiment, strategy_run: StrategyRun, context: RuntimeContext
) -> Float[Tensor, "clip dim"]:
    name, clip_ids = strategy_run.strategy.name, strategy_run.clips.clip_id
    device = experiment.device
    fused = FusedBatches(experiment, strategy_run, context)
    context.progress.begin(f"{name}: encoding", clips=len(clip_ids))
    features = extract_features(
        experiment.initial_encoder(),
        fused.in_order(
            np.arange(len(clip_ids)),
            batch_size=ENCODE_BATCH_SIZE[device.type],
            progress=context.progress,
        ),
        device=device,
        world=context.world,
    )
    bad = (~features.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if bad:
        msg = (
            f"{name}: the encoder's output is not finite for {len(bad)} clips, the "
            f"first {clip_ids[bad[0]]!r}. Check the weights, and the store with "
            "mmder-prep verify."
        )
        raise MmderError(msg)
    return features
