"""Sources of the clips of a pre-training: those of the pool, and those of the probe."""

from collections.abc import Sequence

import numpy as np

from mmder_store import Store
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.experiment.types import RuntimeContext
from mmder_train.pretraining.batches import ClipSource
from mmder_train.pretraining.model import MaskedAutoencoder
from mmder_train.pretraining.pool_rows import PoolRows
from mmder_train.pretraining.setup import Pretraining


def pool_source(
    pretraining: Pretraining, model: MaskedAutoencoder, context: RuntimeContext
) -> ClipSource:
    """Return the clips of the pool, which are held on the device if they fit."""
    pool = pretraining.pool
    clips = ClipArrays(
        reader=PoolRows(pool),
        rows=np.arange(len(pool.speakers)),
        strategy=pretraining.strategy,
        spectrogram=pretraining.config.spectrogram,
    )
    names = tuple(clips.arrays.values())
    return _source(
        pretraining,
        model,
        context,
        clips=clips,
        clip_ids=pool.clip_id,
        store=pool.stores[0],
        held=names,
    )


def probe_source(
    pretraining: Pretraining, model: MaskedAutoencoder, context: RuntimeContext
) -> ClipSource | None:
    """Return the clips of the probe, or None without one. They are read repeatedly."""
    probe = pretraining.probe
    if probe is None:
        return None
    clips = ClipArrays(
        reader=StoreRows(store=probe.store),
        rows=probe.clips.row,
        strategy=pretraining.strategy,
        spectrogram=pretraining.config.spectrogram,
    )
    return _source(
        pretraining,
        model,
        context,
        clips=clips,
        clip_ids=probe.clips.clip_id,
        store=probe.store,
        held=(),
    )


def _source(
    pretraining: Pretraining,
    model: MaskedAutoencoder,
    context: RuntimeContext,
    *,
    clips: ClipArrays,
    clip_ids: Sequence[str],
    store: Store,
    held: Sequence[str],
) -> ClipSource:
    feed = ClipFeed.create(
        clips.reader,
        device=pretraining.device,
        readers=context.readers,
        rows=clips.rows,
        names=held,
    )
    return ClipSource(
        clips=clips,
        feed=feed,
        clip_ids=clip_ids,
        strategy=pretraining.strategy,
        render_settings=pretraining.render_settings(store),
        config=pretraining.config,
        patch_px=model.patch_px,
        device=pretraining.device,
        world=context.world,
    )
