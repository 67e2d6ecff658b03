"""What a run will do, checked against the store before anything expensive."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mmder_store import LabelSet, Store
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train import weights
from mmder_train.config.train_config import TrainConfig
from mmder_train.data import folds
from mmder_train.data.selection import ClipSelection, excluded_text, select_clips
from mmder_train.fusion.rendering import IMAGE_NORMS, RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from mmder_train.models.registry import ENCODERS, Encoder, build_encoder
from mmder_train.models.videomae import PoolingConfig


@dataclass(frozen=True, kw_only=True)
class StrategyRun:
    """One strategy of a run, with its clips and its folds."""

    strategy: Strategy
    clips: ClipSelection
    folds: tuple[folds.Fold, ...]
    notes: list[str]
    """What the user should know: clips, speakers, folds or classes that are missing."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A run whose settings, store and weights fit each other."""

    config: TrainConfig
    store: Store
    labels: LabelSet
    weights: weights.Weights | None
    strategies: tuple[StrategyRun, ...]
    feature_dim: int
    """Numbers that the encoder makes of a clip."""
    feature_cache_dir: Path | None = None
    """Folder where a frozen encoder's features are kept, None where nowhere."""

    @property
    def render_settings(self) -> RenderSettings:
        """How clips become pictures."""
        return RenderSettings(
            spectrogram=self.config.spectrogram,
            colormap=self.config.colormap,
            spectrogram_norm=self.config.spectrogram_norm,
            image_norm=IMAGE_NORMS[self.config.image_norm or "imagenet"],
            sample_rate_hz=self.store.spec.settings.sample_rate_hz,
        )

    @property
    def device(self) -> torch.device:
        """Where the encoder computes; on the GPU that torchrun gave this process."""
        if self.config.device == "cuda":
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device(self.config.device)

    @property
    def store_name(self) -> str:
        """Name of the store's folder, without where it lies."""
        return self.store.path.resolve().name

    def identity(self) -> dict[str, Any]:
        """Give all that determines the numbers."""
        store = {"name": self.store_name, "sha256": self.store.sha256}
        return {"config": self.config.to_json(), "store": store}

    def default_run_dir(self) -> Path:
        """Name a folder after the store and all that determines the numbers."""
        return (
            Path("runs") / f"{Path(self.store_name).stem}-{digest(self.identity())[:8]}"
        )

    def initial_encoder(self) -> Encoder:
        """Make the encoder that every fold starts from: the seed's, or the file's."""
        torch.manual_seed(self.config.seed)
        encoder = build_encoder(
            self.config.encoder,
            _readout(self.config),
            compiled=self.config.compile,
            checkpoint_activations=self.config.checkpoint_activations,
            drop_tokens=self.config.drop_tokens,
            drop_path=self.config.drop_path,
        )
        if self.weights is not None:
            weights.load_into(encoder, self.weights, self.config.allow_missing)
        return encoder.to(self.device)


def setup_experiment(
    store: Store, config: TrainConfig, features: Path | None = None
) -> Experiment:
    """Check that the store and the weights can serve the settings.

    Args:
        store: A sealed store.
        config: Settings; empty `labels` and `protocol` stand for the store's first,
            an empty `encoder` and None for what the weights are made for. Its
            `weights` are where they lie, and become their name.
        features: Folder where a frozen encoder's features are kept.

    Raises:
        MmderError: If they cannot.
    """
    sets = {s.name: s for s in store.spec.label_sets}
    labels = sets.get(config.labels or next(iter(sets), ""))
    if labels is None:
        msg = f"--labels {config.labels}: this store has {', '.join(sets) or 'none'}"
        raise SettingsError(msg)
    speakers = [str(s) for s in store.columns["speaker"]]
    protocol = folds.choose_protocol(config.protocol, store.spec.protocols, speakers)
    given = None if config.weights == "none" else weights.load_weights(config.weights)
    config = _resolve_config(config, given)
    with torch.device("meta"):
        encoder = build_encoder(
            config.encoder,
            _readout(config),
            compiled=config.compile,
            drop_tokens=config.drop_tokens,
        )
    if given is not None:
        weights.compare(encoder, given, config.allow_missing).raise_if_incompatible(
            given.name
        )
    config = replace(config, labels=labels.name, protocol=protocol.name)
    trials = []
    for name in config.strategies:
        clips = select_clips(store, strategy=STRATEGIES[name], labels=labels)
        split = folds.split(clips.speaker, protocol)
        notes = folds.fold_warnings(split, protocol, clips.label, labels.classes)
        if clips.excluded:
            notes.insert(0, excluded_text(clips.excluded))
        if given is not None and given.metadata.get("store_sha256") == store.sha256:
            notes.insert(
                0,
                f"weights {given.name} were tuned on this very store: "
                "speakers tested here were not unseen by them",
            )
        trials.append(
            StrategyRun(
                strategy=STRATEGIES[name],
                clips=clips,
                folds=_validated(
                    folds.select_folds(split, config.fold, protocol), clips, config
                ),
                notes=notes,
            )
        )
    return Experiment(
        config=config,
        store=store,
        labels=labels,
        weights=given,
        strategies=tuple(trials),
        feature_dim=encoder.dim,
        feature_cache_dir=features,
    )


def _validated(
    split: tuple[folds.Fold, ...], clips: ClipSelection, config: TrainConfig
) -> tuple[folds.Fold, ...]:
    if config.val == "none":
        return split
    return tuple(
        folds.with_validation(f, clips.speaker, seed=config.seed) for f in split
    )


def _resolve_config(config: TrainConfig, given: weights.Weights | None) -> TrainConfig:
    """Settle what the user left to the weights, or to the encoder without any."""
    name = config.encoder or (given.encoder if given else "") or "tiny"
    usual = ENCODERS[name].readout if name in ENCODERS else PoolingConfig()
    if given is not None and given.encoder == name:
        usual = given.readout
    return replace(
        config,
        encoder=name,
        weights=given.name if given else "none",
        weights_sha256=given.sha256 if given else "",
        weights_format=given.format if given else "",
        norm_eps=usual.norm_eps if config.norm_eps is None else config.norm_eps,
        pool=usual.pool if config.pool is None else config.pool,
        pos_embed=usual.pos_embed if config.pos_embed is None else config.pos_embed,
        image_norm=config.image_norm or (given.image_norm if given else "imagenet"),
    )


def _readout(config: TrainConfig) -> PoolingConfig:
    usual = PoolingConfig()
    return PoolingConfig(
        norm_eps=config.norm_eps or usual.norm_eps,
        pool=config.pool or usual.pool,
        pos_embed=config.pos_embed is not False,
    )
