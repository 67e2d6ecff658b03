"""Set up a pre-training: check that settings, stores and weights fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mmder_store import Store
from mmder_train import weights
from mmder_train.experiment.setup import expected_encoder, pooling_config
from mmder_train.fusion.rendering import IMAGE_NORMS, RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import PoolingConfig
from mmder_train.pretraining.clip_pool import (
    ClipPool,
    excluded_speakers,
    gather_clips,
)
from mmder_train.pretraining.config import PretrainConfig
from mmder_train.pretraining.model import (
    MaskedAutoencoder,
    build_autoencoder,
    check_encoder,
)
from mmder_train.pretraining.validation import Probe, setup_probe
from mmder_train.weights.seen_clips import SeenClips, read_seen_clips


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """A pre-training whose settings, stores and weights fit each other."""

    config: PretrainConfig
    pool: ClipPool
    seen: SeenClips
    """Clips that the finished encoder has seen, also in earlier pre-trainings."""
    weights: weights.Weights | None
    """Initial weights of the encoder. None for random weights."""
    probe: Probe | None
    """Labeled clips of the linear probe."""

    @property
    def strategy(self) -> Strategy:
        """Fusion strategy of the input."""
        return STRATEGIES[self.config.strategy]

    @property
    def device(self) -> torch.device:
        """Device of the model. With torchrun, the GPU assigned to this process."""
        if self.config.device == "cuda":
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device(self.config.device)

    def render_settings(self, store: Store) -> RenderSettings:
        """Return the settings for rendering the clips of a store."""
        return RenderSettings(
            spectrogram=self.config.spectrogram,
            colormap=self.config.colormap,
            spectrogram_norm=self.config.spectrogram_norm,
            image_norm=IMAGE_NORMS[self.config.image_norm or "imagenet"],
            sample_rate_hz=store.spec.settings.sample_rate_hz,
        )

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the weights, as JSON values."""
        return {
            "task": "pretraining",
            "config": self.config.to_json(),
            "stores": [_describe(s) for s in self.pool.stores],
            "probe": None if self.probe is None else _describe(self.probe.store),
        }

    def initial_model(self) -> MaskedAutoencoder:
        """Build the autoencoder that the pre-training starts from.

        Its weights are drawn from the seed. Those of the encoder are then loaded from
        the file if there is one.
        """
        torch.manual_seed(self.config.seed)
        encoder = build_encoder(
            self.config.encoder,
            _pooling(self.config),
            checkpoint_activations=self.config.checkpoint_activations,
        )
        if self.weights is not None:
            weights.load_into(encoder, self.weights)
        model = build_autoencoder(self.config.encoder, encoder)
        return model.to(self.device)


def setup_pretraining(
    stores: Sequence[Store],
    config: PretrainConfig,
    *,
    weights_source: str = "none",
    probe_store: Store | None = None,
) -> Pretraining:
    """Check that stores and weights fit the settings, and select the clips.

    Args:
        stores: Sealed stores. Labels are not needed.
        config: Settings. An empty `encoder` and None select the value that the weights
            expect.
        weights_source: Initial weights of the encoder, or ``none``.
        probe_store: Labeled store of the linear probe.

    Raises:
        MmderError: If they do not fit.
    """
    loaded = None
    if weights_source != "none":
        loaded = weights.load_weights(weights_source)
    config = _resolve_config(config, loaded)
    check_encoder(config.encoder)
    if loaded is not None:
        with torch.device("meta"):
            encoder = build_encoder(config.encoder, _pooling(config))
        weights.match_weights(encoder, loaded).raise_if_incompatible(loaded.name)
    strategy = STRATEGIES[config.strategy]
    every_store = list(stores)
    if probe_store is not None and probe_store.sha256 not in {s.sha256 for s in stores}:
        every_store.append(probe_store)
    excluded = excluded_speakers(
        every_store,
        names=config.exclude_speakers,
        fold=config.exclude_fold,
        protocol=config.protocol,
    )
    pool = gather_clips(
        stores,
        strategy=strategy,
        spectrogram=config.spectrogram,
        excluded=excluded,
        val_fraction=config.val_speakers,
        seed=config.seed,
    )
    probe = None
    if probe_store is not None:
        probe = setup_probe(
            probe_store,
            strategy=strategy,
            labels=config.probe_labels,
            excluded=excluded,
            held_out=pool.val_speakers,
            seed=config.seed,
        )
        config = replace(config, probe_labels=probe.labels.name)
    seen = pool.seen()
    earlier = loaded and read_seen_clips(loaded.name, loaded.metadata)
    if earlier:
        seen = seen.union(earlier)
    seen.to_json()  # raises if the hashes do not fit in a file
    return Pretraining(config=config, pool=pool, seen=seen, weights=loaded, probe=probe)


def _resolve_config(
    config: PretrainConfig, loaded: weights.Weights | None
) -> PretrainConfig:
    """Fill in the settings that the user leaves to the weights or to the encoder."""
    name, expected = expected_encoder(config.encoder, loaded)
    return replace(
        config,
        encoder=name,
        weights=loaded.name if loaded else "none",
        weights_sha256=loaded.sha256 if loaded else "",
        norm_eps=expected.norm_eps,
        pool=expected.pool,
        pos_embed=expected.pos_embed,
        image_norm=config.image_norm or (loaded.image_norm if loaded else "imagenet"),
    )


def _pooling(config: PretrainConfig) -> PoolingConfig:
    return pooling_config(
        norm_eps=config.norm_eps, pool=config.pool, pos_embed=config.pos_embed
    )


def _describe(store: Store) -> Mapping[str, str]:
    return {
        "name": store.path.resolve().name,
        "sha256": store.sha256,
        "corpus": store.spec.corpus,
    }
