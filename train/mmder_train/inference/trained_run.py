"""Load the trained models of one strategy and their preprocessing settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmder_store import FORMAT_VERSION, PrepSettings, Store
from mmder_store.errors import SettingsError, WeightsError
from mmder_store.local_path import check_local
from mmder_train.evaluation.load_results import load_results
from mmder_train.evaluation.model_quality import ModelQuality, model_quality
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.evaluation.seeds import file_name, results_of_seed, run_seeds
from mmder_train.fusion.rendering import IMAGE_NORMS, RenderSettings
from mmder_train.fusion.spectrogram_norms import SPECTROGRAM_NORMS
from mmder_train.fusion.spectrogram_planes import PLANES
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from mmder_train.fusion.types import Modality
from mmder_train.inference.ensemble import FoldEnsemble, build_ensembles
from mmder_train.runtime.device import choose_device, model_precision
from mmder_train.weights import native, readers
from mmder_train.weights.shared_encoder import OpenedEncoders
from mmder_train.weights.types import RawCheckpoint

DEVICES = ("auto", "cpu", "cuda")
"""Accepted names of devices."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRun:
    """Models of one strategy of a finished run, and the settings of their input."""

    strategy: Strategy
    labels: str
    """Name of the label set."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the probabilities."""
    folds: tuple[int, ...]
    """Numbers of the folds whose models are loaded, ascending from 1."""
    train_clips: Mapping[int, frozenset[str]]
    """Ids of the training clips of each fold."""
    render_settings: RenderSettings
    """Settings that turn stored frames and spectrograms into the encoder's input."""
    seed: int
    """Seed of the models, and of the RFAS frame order."""
    seeds: tuple[int, ...]
    """All seeds of the run."""
    views: int = 1
    """Number of views of a clip that are averaged: 1, or 2 with its mirror image."""
    modality_dropout: float = 0.0
    """Probability with which a training clip lacked one modality."""
    prep_settings: PrepSettings
    """Preprocessing settings of the store that the run was trained on."""
    quality: ModelQuality
    """Scores of the folds on their test sides."""
    ensembles: tuple[FoldEnsemble, ...]
    """Models; the heads of folds with equal encoders share one encoder."""
    device: torch.device
    """Device of the models."""

    def missing_note(self, modality: Modality) -> str:
        """Return a remark on a prediction of a clip that lacks a modality."""
        note = f"predicted without {modality}"
        if self.modality_dropout:
            return note
        return f"{note}, and the models were trained on clips with both"

    def folds_text(self) -> str:
        """Return the fold numbers as text, such as ``folds 1, 2``."""
        numbers = ", ".join(map(str, self.folds))
        text = f"folds {numbers}" if len(self.folds) > 1 else f"fold {numbers}"
        if len(self.seeds) < 2:
            return text
        return f"{text}, seed {self.seed} of {', '.join(map(str, self.seeds))}"

    @torch.inference_mode()
    def predict_each(
        self, inputs: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float64[Tensor, "model clip class"]:
        """Return the class probabilities of each model for fused inputs, on the CPU.

        They are the softmax of the logits. An encoder that several folds share runs
        once.

        Args:
            inputs: Output of `fuse`, on any device.
        """
        probabilities = []
        for ensemble in self.ensembles:
            with model_precision(ensemble.encoder, self.device):
                pooled = ensemble.encoder(inputs.to(self.device))
            logits = [head(pooled).cpu() for head in ensemble.heads]
            probabilities += [x.double().softmax(1) for x in logits]
        return torch.stack(probabilities)

    def predict_probabilities(
        self, inputs: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float64[Tensor, "clip class"]:
        """Return the class probabilities of fused inputs: the mean over all models.

        Args:
            inputs: Output of `fuse`, on any device.
        """
        return self.predict_each(inputs).mean(0)


def load_trained_run(
    run_dir: str | Path,
    *,
    strategy: str | None = None,
    fold: int | None = None,
    seed: int | None = None,
    store: str | Path | None = None,
    device: str = "auto",
) -> TrainedRun:
    """Load the models of a finished run that was made with ``--save-weights``.

    Args:
        run_dir: Folder of the run.
        strategy: Name of the strategy. None if the run has only one.
        fold: Number of one fold, from 1. None to average the models of all folds.
        seed: Seed of the models. None for the first seed of the run.
        store: Store that the run was trained on. Required only for a run of an older
            mmder, whose weights do not contain the preprocessing settings.
        device: ``auto`` for a GPU if there is one, ``cpu`` or ``cuda``.

    Raises:
        MmderError: If there is no finished run in the folder, it has no such strategy,
            fold or seed, its weights are missing, damaged or those of another run, or
            the device is not available.
    """
    check_local(run_dir, "run")
    run_dir = Path(run_dir)
    if device not in DEVICES:
        msg = f"device {device!r}: unknown; expected one of {', '.join(DEVICES)}"
        raise SettingsError(msg)
    torch_device = torch.device(choose_device(device))
    every = load_results(run_dir)
    try:
        seeds = run_seeds(every)
        seed = seeds[0] if seed is None and seeds else seed
        results = every if seed is None else results_of_seed(every, seed)
        name = _choose_strategy(run_dir, list(results["strategies"]), strategy)
        finished = [int(f["fold"]) for f in results["strategies"][name]["folds"]]
        folds = _choose_folds(run_dir, finished, fold)
        file = file_name(every, name, seed)
        files = {k: RunDirectory(path=run_dir).weights(file, k) for k in folds}
        _check_files_exist(run_dir, files)
        encoders: OpenedEncoders = {}
        checkpoints = {
            k: _load_weights(file, results, name, k, encoders)
            for k, file in files.items()
        }
        prep_settings = _prep_settings(
            run_dir,
            checkpoints[folds[0]].metadata,
            None if store is None else Path(store),
        )
        classes = tuple(map(str, results["classes"]))
        ensembles = build_ensembles(
            checkpoints, classes=len(classes), device=torch_device
        )
        config = results["config"]
        return TrainedRun(
            strategy=STRATEGIES[name],
            labels=str(config["labels"]),
            classes=classes,
            folds=folds,
            train_clips={
                k: frozenset(map(str, c.metadata.get("trained_clips", ())))
                for k, c in checkpoints.items()
            },
            render_settings=_render_settings(config, prep_settings.sample_rate_hz),
            seed=int(config["seed"]),
            seeds=seeds,
            views=int(config.get("views", 1)),
            modality_dropout=float(config.get("modality_dropout", 0.0)),
            prep_settings=prep_settings,
            quality=model_quality(results, name, folds),
            ensembles=tuple(ensembles),
            device=torch_device,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SettingsError):
            raise
        msg = f"run {run_dir}: not in the format of this mmder-train ({error!r})"
        raise SettingsError(msg) from error


def _choose_strategy(run_dir: Path, names: Sequence[str], chosen: str | None) -> str:
    known = [name for name in names if name in STRATEGIES]
    if not known:
        msg = (
            f"run {run_dir}: contains only {', '.join(names)}, which has no weights; "
            "expected a run that trained an encoder"
        )
        raise SettingsError(msg)
    if chosen is None and len(known) > 1:
        msg = (
            f"run {run_dir}: contains the strategies {', '.join(known)}. Choose one "
            "with --strategy."
        )
        raise SettingsError(msg)
    if chosen is not None and chosen not in known:
        msg = (
            f"--strategy {chosen}: not in run {run_dir}; expected one of "
            f"{', '.join(known)}"
        )
        raise SettingsError(msg)
    return chosen or known[0]


def _choose_folds(
    run_dir: Path, numbers: Sequence[int], chosen: int | None
) -> tuple[int, ...]:
    if chosen is None:
        return tuple(sorted(numbers))
    if chosen not in numbers:
        msg = (
            f"--fold {chosen}: not in run {run_dir}; expected one of "
            f"{', '.join(map(str, sorted(numbers)))}"
        )
        raise SettingsError(msg)
    return (chosen,)


def _check_files_exist(run_dir: Path, files: Mapping[int, Path]) -> None:
    missing = [str(k) for k, file in files.items() if not file.is_file()]
    if not missing:
        return
    of_folds = "" if len(missing) == len(files) else f" of fold {', '.join(missing)}"
    msg = (
        f"run {run_dir}: contains no weights{of_folds}. Run its command again with "
        "--save-weights."
    )
    raise SettingsError(msg)


def _load_weights(
    file: Path,
    results: Mapping[str, Any],
    strategy: str,
    fold: int,
    encoders: OpenedEncoders,
) -> RawCheckpoint:
    """Load a weights file, and check that it is of this run, strategy and fold.

    Frozen encoders that are already read are in `encoders`.
    """
    checkpoint = readers.read_checkpoint(file, encoders)
    if checkpoint.format != native.METADATA:
        msg = f"weights {file}: not written by mmder-train; expected those of this run"
        raise WeightsError(msg)
    expected = {
        "strategy": strategy,
        "fold": fold,
        "classes": results["classes"],
        "config": results["config"],
        "store_sha256": results["store"]["sha256"],
    }
    for key, value in expected.items():
        if checkpoint.metadata.get(key) != value:
            msg = (
                f"weights {file}: from another run, {key} differs. Restore the file of "
                "this run, or delete it and train again with --save-weights."
            )
            raise WeightsError(msg)
    return checkpoint


def _prep_settings(
    run_dir: Path, metadata: Mapping[str, Any], store: Path | None
) -> PrepSettings:
    """Return the settings of the run's store."""
    if store is not None:
        opened = Store(store)
        if opened.sha256 != metadata["store_sha256"]:
            msg = f"--store {store}: run {run_dir} was trained on another store"
            raise SettingsError(msg)
        return opened.spec.settings
    preparation = metadata.get("preparation")
    if preparation is None:
        msg = (
            f"run {run_dir}: contains no preprocessing settings, because an older "
            "mmder wrote it. Name the store that it was trained on with --store."
        )
        raise SettingsError(msg)
    if preparation["format"] != FORMAT_VERSION:
        msg = (
            f"run {run_dir}: trained on a store of format {preparation['format']}; "
            f"expected {FORMAT_VERSION}. Train again on a store of this mmder."
        )
        raise SettingsError(msg)
    return PrepSettings.from_json(preparation["settings"])


def _render_settings(config: Mapping[str, Any], sample_rate_hz: int) -> RenderSettings:
    choices = {
        "spectrogram": PLANES,
        "colormap": ("viridis", "gray"),
        "spectrogram_norm": SPECTROGRAM_NORMS,
    }
    for name, accepted in choices.items():
        if config[name] not in accepted:
            msg = f"unknown {name} {config[name]!r}"
            raise ValueError(msg)
    return RenderSettings(
        spectrogram=config["spectrogram"],
        colormap=config["colormap"],
        spectrogram_norm=config["spectrogram_norm"],
        image_norm=IMAGE_NORMS[config["image_norm"]],
        sample_rate_hz=sample_rate_hz,
    )
