"""What a run will do, checked against the store before anything expensive."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mmder_store import LabelSet, Store
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train import folds, weights
from mmder_train.clips import Clips, left_out_text, usable
from mmder_train.config import TrainConfig
from mmder_train.encoders import ENCODERS, Encoder, build
from mmder_train.fusion import STATISTICS, STRATEGIES, Look, Strategy
from mmder_train.videomae import Readout


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One strategy of a run, with its clips and its folds."""

    strategy: Strategy
    clips: Clips
    folds: tuple[folds.Fold, ...]
    notes: list[str]
    """What the user should know: clips, speakers, folds or classes that are missing."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run whose settings, store and weights fit each other."""

    config: TrainConfig
    store: Store
    labels: LabelSet
    weights: weights.Weights | None
    trials: tuple[Trial, ...]
    dim: int
    """Numbers that the encoder makes of a clip."""
    features: Path | None = None
    """Folder where a frozen encoder's features are kept, None where nowhere."""

    @property
    def look(self) -> Look:
        """How clips become pictures."""
        return Look(
            audio=self.config.audio,
            colour=self.config.colour,
            scale=self.config.scale,
            statistics=STATISTICS[self.config.statistics or "imagenet"],
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

    def default_folder(self) -> Path:
        """Name a folder after the store and all that determines the numbers."""
        return (
            Path("runs") / f"{Path(self.store_name).stem}-{digest(self.identity())[:8]}"
        )

    def first_encoder(self) -> Encoder:
        """Make the encoder that every fold starts from: the seed's, or the file's."""
        torch.manual_seed(self.config.seed)
        encoder = build(
            self.config.encoder,
            _readout(self.config),
            compiled=self.config.compile,
            checkpoint_activations=self.config.checkpoint_activations,
            drop_tokens=self.config.drop_tokens,
            drop_path=self.config.drop_path,
        )
        if self.weights is not None:
            weights.fill(encoder, self.weights, self.config.new_parts)
        return encoder.to(self.device)


def choose_device(name: str) -> str:
    """Give the kind of device: what is asked for, or a GPU where there is one.

    Raises:
        SettingsError: If a GPU is asked for and there is none.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        msg = "--device cuda: torch sees no GPU here. Say --device cpu."
        raise SettingsError(msg)
    return "cuda" if gpu and name != "cpu" else "cpu"


def prepare(store: Store, config: TrainConfig, features: Path | None = None) -> Run:
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
    protocol = folds.choose(config.protocol, store.spec.protocols, speakers)
    given = None if config.weights == "none" else weights.load(config.weights)
    config = _settled(config, given)
    with torch.device("meta"):
        encoder = build(
            config.encoder,
            _readout(config),
            compiled=config.compile,
            drop_tokens=config.drop_tokens,
        )
    if given is not None:
        weights.compare(encoder, given, config.new_parts).refuse(given.name)
    config = replace(config, labels=labels.name, protocol=protocol.name)
    trials = []
    for name in config.strategies:
        clips = usable(store, strategy=STRATEGIES[name], labels=labels)
        split = folds.split(clips.speaker, protocol)
        notes = folds.notes(split, protocol, clips.label, labels.classes)
        if clips.left_out:
            notes.insert(0, left_out_text(clips.left_out))
        if given is not None and given.about.get("store_sha256") == store.sha256:
            notes.insert(
                0,
                f"weights {given.name} were tuned on this very store: "
                "speakers tested here were not unseen by them",
            )
        trials.append(
            Trial(
                strategy=STRATEGIES[name],
                clips=clips,
                folds=_validated(
                    folds.pick(split, config.fold, protocol), clips, config
                ),
                notes=notes,
            )
        )
    return Run(
        config=config,
        store=store,
        labels=labels,
        weights=given,
        trials=tuple(trials),
        dim=encoder.dim,
        features=features,
    )


def _validated(
    split: tuple[folds.Fold, ...], clips: Clips, config: TrainConfig
) -> tuple[folds.Fold, ...]:
    if config.val == "none":
        return split
    return tuple(folds.validated(f, clips.speaker, seed=config.seed) for f in split)


def _settled(config: TrainConfig, given: weights.Weights | None) -> TrainConfig:
    """Settle what the user left to the weights, or to the encoder without any."""
    name = config.encoder or (given.encoder if given else "") or "tiny"
    usual = ENCODERS[name].readout if name in ENCODERS else Readout()
    if given is not None and given.encoder == name:
        usual = given.readout
    return replace(
        config,
        encoder=name,
        weights=given.name if given else "none",
        weights_sha256=given.sha256 if given else "",
        weights_format=given.format if given else "",
        epsilon=usual.epsilon if config.epsilon is None else config.epsilon,
        pool=usual.pool if config.pool is None else config.pool,
        positions=usual.positions if config.positions is None else config.positions,
        statistics=config.statistics or (given.statistics if given else "imagenet"),
    )


def _readout(config: TrainConfig) -> Readout:
    usual = Readout()
    return Readout(
        epsilon=config.epsilon or usual.epsilon,
        pool=config.pool or usual.pool,
        positions=config.positions is not False,
    )
