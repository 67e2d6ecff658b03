"""Set up a run: check that settings, store and weights fit, before any training."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mmder_store import LabelSet, Store
from mmder_store.settings import digest
from mmder_train import weights
from mmder_train.config.train_config import TrainConfig
from mmder_train.data import folds
from mmder_train.data.selection import (
    ClipSelection,
    choose_labels,
    excluded_text,
    labeled_speakers,
    select_clips,
)
from mmder_train.evaluation.seeds import seed_name
from mmder_train.experiment.seen_check import (
    SeenFold,
    check_not_seen,
    find_seen_folds,
    rendering_warnings,
)
from mmder_train.fusion.rendering import IMAGE_NORMS, RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from mmder_train.models.registry import ENCODERS, Encoder, build_encoder
from mmder_train.models.skip_init import SkipRandomInit
from mmder_train.models.videomae import Pool, PoolingConfig
from mmder_train.runtime.compile_support import check_compiler
from mmder_train.runtime.device import FROZEN_DTYPE


@dataclass(frozen=True, kw_only=True)
class StrategyRun:
    """One fusion strategy of a run with one seed, its clips and its folds."""

    name: str
    """Name of the files: that of the strategy, and the seed if the run has several."""
    strategy: Strategy
    seed: int
    clips: ClipSelection
    folds: tuple[folds.Fold, ...]
    warnings: list[str]
    """Messages about clips, speakers, folds or classes that are missing."""
    seen: tuple[SeenFold, ...] = ()
    """Folds that test clips which the initial weights have seen."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A run whose settings, store and weights fit each other."""

    config: TrainConfig
    store: Store
    labels: LabelSet
    weights: weights.Weights | None
    """Initial weights of the encoder. None for random weights."""
    strategies: tuple[StrategyRun, ...]
    """Every strategy, with each seed."""
    feature_dim: int
    """Feature dimension of the encoder."""
    feature_cache_dir: Path | None = None
    """Folder of cached features. None if features are not cached."""
    test_stores: tuple[Mapping[str, Any], ...] = ()
    """Name, hash and label set of each other store that the run is tested on."""
    built: dict[tuple[str, int | None], Encoder] = field(default_factory=dict)
    """Encoders that were built, shared by the experiments of all seeds."""

    def of_seed(self, seed: int) -> "Experiment":
        """Return the experiment as it is with one of its seeds only."""
        if not self.config.seeds:
            return self
        runs = tuple(run for run in self.strategies if run.seed == seed)
        return replace(self, config=self.config.of_seed(seed), strategies=runs)

    @property
    def draws_encoder(self) -> bool:
        """True if the seed draws initial weights of the encoder."""
        return self.weights is None or bool(self.config.allow_missing)

    def encoder_seed(self, seed: int) -> int | None:
        """Return the seed of a frozen encoder, None if all seeds have the same."""
        return seed if self.config.seeds and self.draws_encoder else None

    @property
    def render_settings(self) -> RenderSettings:
        """Settings for rendering clips as images."""
        return RenderSettings(
            spectrogram=self.config.spectrogram,
            colormap=self.config.colormap,
            spectrogram_norm=self.config.spectrogram_norm,
            image_norm=IMAGE_NORMS[self.config.image_norm or "imagenet"],
            sample_rate_hz=self.store.spec.settings.sample_rate_hz,
        )

    @property
    def device(self) -> torch.device:
        """Device of the encoder. With torchrun, the GPU assigned to this process."""
        if self.config.device == "cuda":
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device(self.config.device)

    @property
    def store_name(self) -> str:
        """Name of the store's folder, without its path."""
        return self.store.path.resolve().name

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the results, as JSON values."""
        store = {"name": self.store_name, "sha256": self.store.sha256}
        identity: dict[str, Any] = {"config": self.config.to_json(), "store": store}
        if self.test_stores:
            identity["test_stores"] = [dict(entry) for entry in self.test_stores]
        return identity

    def default_run_dir(self) -> Path:
        """Return a folder named after the store and a hash of the identity."""
        return (
            Path("runs") / f"{Path(self.store_name).stem}-{digest(self.identity())[:8]}"
        )

    def initial_encoder(self) -> Encoder:
        """Build the encoder that every fold starts from.

        Its weights are drawn from the seed, then loaded from the file if there is one.
        """
        return self.build_encoder().to(self.device)

    @property
    def frozen_encoder(self) -> Encoder:
        """The initial encoder in the precision of frozen encoders, built once."""

        def build() -> Encoder:
            # Random numbers take seconds to draw, and a complete file replaces all.
            with nullcontext() if self.draws_encoder else SkipRandomInit():
                encoder = self.build_encoder()
            dtype = FROZEN_DTYPE[self.device.type]
            return encoder.to(device=self.device, dtype=dtype).eval()

        return self._built_once("frozen", build)

    @property
    def saved_encoder(self) -> Encoder:
        """The frozen encoder as it is saved: 32-bit floats on the CPU, built once."""
        return self._built_once("saved", self.build_encoder)

    def _built_once(self, name: str, build: Callable[[], Encoder]) -> Encoder:
        key = (name, self.config.seed if self.draws_encoder else None)
        if key not in self.built:
            self.built[key] = build()
        return self.built[key]

    def build_encoder(self) -> Encoder:
        """Build the initial encoder on the CPU, in 32-bit floats."""
        torch.manual_seed(self.config.seed)
        encoder = build_encoder(
            self.config.encoder,
            _pooling(self.config),
            compiled=self.config.compile,
            checkpoint_activations=self.config.checkpoint_activations,
            drop_tokens=self.config.drop_tokens,
            drop_path=self.config.drop_path,
        )
        if self.weights is not None:
            weights.load_into(encoder, self.weights, self.config.allow_missing)
        return encoder


@dataclass(frozen=True, kw_only=True)
class ResolvedModel:
    """Settings of an encoder, with weights that fit it."""

    config: TrainConfig
    """Settings without gaps."""
    weights: weights.Weights | None
    """Initial weights of the encoder. None for random weights."""
    feature_dim: int
    """Feature dimension of the encoder."""


def resolve_model(config: TrainConfig) -> ResolvedModel:
    """Load the weights, fill in the settings that depend on them, and check the fit.

    Args:
        config: Settings. An empty `encoder` and None select the value that the weights
            expect. `weights` is a path here, and the file name in the result.

    Raises:
        MmderError: If the weights do not fit the encoder.
    """
    loaded = None if config.weights == "none" else weights.load_weights(config.weights)
    config = _resolve_config(config, loaded)
    if config.compile:
        check_compiler(config.device)
    with torch.device("meta"):
        encoder = build_encoder(
            config.encoder,
            _pooling(config),
            compiled=config.compile,
            drop_tokens=config.drop_tokens,
        )
    if loaded is not None:
        match = weights.match_weights(encoder, loaded, config.allow_missing)
        match.raise_if_incompatible(loaded.name)
    return ResolvedModel(config=config, weights=loaded, feature_dim=encoder.dim)


def setup_experiment(
    store: Store, config: TrainConfig, feature_cache_dir: Path | None = None
) -> Experiment:
    """Check that the store and the weights fit the settings, and select the clips.

    Args:
        store: A sealed store.
        config: Settings. Empty `labels` and `protocol` select the store's first. An
            empty `encoder` and None select the value that the weights expect. `weights`
            is a path here, and the file name in the settings of the experiment.
        feature_cache_dir: Folder of cached features.

    Raises:
        MmderError: If they do not fit.
    """
    labels = choose_labels(store, config.labels)
    speakers = labeled_speakers(store, labels)
    protocol = folds.choose_protocol(config.protocol, store.spec.protocols, speakers)
    model = resolve_model(config)
    loaded = model.weights
    config = replace(model.config, labels=labels.name, protocol=protocol.name)
    strategies: list[StrategyRun] = []
    for name in config.strategies:
        clips = select_clips(store, strategy=STRATEGIES[name], labels=labels)
        split = folds.split(clips.speaker, protocol)
        warnings = folds.fold_warnings(split, protocol, clips.label, labels.classes)
        if clips.excluded:
            warnings.insert(0, excluded_text(clips.excluded))
        if loaded is not None and loaded.metadata.get("store_sha256") == store.sha256:
            warnings.insert(
                0,
                f"weights {loaded.name} were trained on this very store: they have "
                "seen speakers that are tested here",
            )
        selected = folds.select_folds(split, config.fold, protocol)
        seen: tuple[SeenFold, ...] = ()
        if loaded is not None:
            seen = find_seen_folds(loaded, store, clips, selected)
            warnings[:0] = check_not_seen(loaded, seen, config)
            warnings += rendering_warnings(loaded, config)
        strategies += [
            StrategyRun(
                name=seed_name(name, seed) if config.seeds else name,
                strategy=STRATEGIES[name],
                seed=seed,
                clips=clips,
                folds=_with_validation(selected, clips, config.of_seed(seed)),
                warnings=warnings,
                seen=seen,
            )
            for seed in config.seeds or (config.seed,)
        ]
    return Experiment(
        config=config,
        store=store,
        labels=labels,
        weights=loaded,
        strategies=tuple(strategies),
        feature_dim=model.feature_dim,
        feature_cache_dir=feature_cache_dir,
    )


def _with_validation(
    split: tuple[folds.Fold, ...], clips: ClipSelection, config: TrainConfig
) -> tuple[folds.Fold, ...]:
    if config.val == "none":
        return split
    return tuple(
        folds.with_validation(f, clips.speaker, seed=config.seed) for f in split
    )


def expected_encoder(
    chosen: str, loaded: weights.Weights | None
) -> tuple[str, PoolingConfig]:
    """Return the name of an encoder, and the pooling that its weights expect.

    Args:
        chosen: Name of the encoder. Empty for the one that the weights fit, else tiny.
        loaded: Initial weights. None for random weights.
    """
    name = chosen or (loaded.encoder if loaded else "") or "tiny"
    if loaded is not None and loaded.encoder == name:
        return name, loaded.readout
    return name, ENCODERS[name].readout if name in ENCODERS else PoolingConfig()


def _resolve_config(config: TrainConfig, loaded: weights.Weights | None) -> TrainConfig:
    """Fill in the settings that the user leaves to the weights or to the encoder."""
    name, expected = expected_encoder(config.encoder, loaded)
    return replace(
        config,
        encoder=name,
        weights=loaded.name if loaded else "none",
        weights_sha256=loaded.sha256 if loaded else "",
        weights_format=loaded.format if loaded else "",
        norm_eps=expected.norm_eps if config.norm_eps is None else config.norm_eps,
        pool=expected.pool if config.pool is None else config.pool,
        pos_embed=expected.pos_embed if config.pos_embed is None else config.pos_embed,
        image_norm=config.image_norm or (loaded.image_norm if loaded else "imagenet"),
    )


def pooling_config(
    *, norm_eps: float | None, pool: Pool | None, pos_embed: bool | None
) -> PoolingConfig:
    """Return the pooling of an encoder. None is the value of VideoMAE."""
    default = PoolingConfig()
    return PoolingConfig(
        norm_eps=norm_eps or default.norm_eps,
        pool=pool or default.pool,
        pos_embed=pos_embed is not False,
    )


def _pooling(config: TrainConfig) -> PoolingConfig:
    return pooling_config(
        norm_eps=config.norm_eps, pool=config.pool, pos_embed=config.pos_embed
    )
