"""What a run kept of one strategy: its models, and how their clips were prepared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmder_store import FORMAT_VERSION, PrepSettings, Store
from mmder_store.errors import SettingsError, WeightsError
from mmder_train.evaluation.load_results import load_results
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.fusion.rendering import FIXED_DB, IMAGE_NORMS, RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy
from mmder_train.inference.ensemble import FoldEnsemble, build_ensembles
from mmder_train.runtime.device import mixed_precision
from mmder_train.weights import native, readers
from mmder_train.weights.types import RawCheckpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRun:
    """The models of some folds of a run, for one strategy."""

    strategy: Strategy
    labels: str
    """Name of the label set."""
    classes: tuple[str, ...]
    folds: tuple[int, ...]
    trained: Mapping[int, frozenset[str]]
    """Names of the clips that each fold was trained on."""
    render_settings: RenderSettings
    seed: int
    """Of the places of RFAS."""
    settings: PrepSettings
    """How the clips of the run were prepared."""
    ensembles: tuple[FoldEnsemble, ...]
    device: torch.device

    def folds_text(self) -> str:
        """Name the folds for a person."""
        numbers = ", ".join(map(str, self.folds))
        return f"folds {numbers}" if len(self.folds) > 1 else f"fold {numbers}"

    @torch.inference_mode()
    def probabilities(
        self, clips: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float64[Tensor, "clip class"]:
        """Give the mean, over all models, of the softmax of their logits; on the CPU.

        A frozen encoder that all folds share is passed once.
        """
        shares = []
        for model in self.ensembles:
            with mixed_precision(self.device):
                pooled = model.encoder(clips.to(self.device))
            for head in model.heads:
                with mixed_precision(self.device):
                    logits = head(pooled)
                shares.append(logits.float().cpu().double().softmax(1))
        return torch.stack(shares).mean(0)


def load_trained_run(
    path: Path,
    *,
    strategy: str | None,
    fold: int | None,
    store: Path | None,
    device: str,
) -> TrainedRun:
    """Read the models of a finished run.

    Args:
        path: The run's folder.
        strategy: Which of its strategies; None where it has one.
        fold: The fold whose model is wanted; None for all of them.
        store: Store that the run was trained on; wanted where an older version of the
            program did not note how its clips were prepared.
        device: Where the models go.

    Raises:
        MmderError: If there is no such run, it kept no weights, or they are not its.
    """
    results = load_results(path)
    try:
        name = _strategy(path, list(results["strategies"]), strategy)
        found = [int(f["fold"]) for f in results["strategies"][name]["folds"]]
        folds = _folds(path, found, fold)
        files_of = {k: RunDirectory(path=path).weights(name, k) for k in folds}
        _need(path, files_of)
        held = {
            k: _load_weights(file, results, name, k) for k, file in files_of.items()
        }
        about = held[folds[0]].metadata
        settings = _settings(path, about, store)
        classes = tuple(map(str, results["classes"]))
        models = build_ensembles(
            held, classes=len(classes), device=torch.device(device)
        )
        config = results["config"]
        return TrainedRun(
            strategy=STRATEGIES[name],
            labels=str(config["labels"]),
            classes=classes,
            folds=folds,
            trained={
                k: frozenset(map(str, h.metadata.get("trained_clips", ())))
                for k, h in held.items()
            },
            render_settings=_render_settings(config, settings.sample_rate_hz),
            seed=int(config["seed"]),
            settings=settings,
            ensembles=tuple(models),
            device=torch.device(device),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SettingsError):
            raise
        msg = f"run {path}: not as this mmder-train writes it ({error!r})"
        raise SettingsError(msg) from error


def _strategy(path: Path, found: Sequence[str], asked: str | None) -> str:
    known = [name for name in found if name in STRATEGIES]
    if not known:
        msg = (
            f"run {path}: is of {', '.join(found)}, which keeps no weights; expected "
            "a run of an encoder"
        )
        raise SettingsError(msg)
    if asked is None and len(known) > 1:
        msg = f"run {path}: has {', '.join(known)}. Say which with --strategy."
        raise SettingsError(msg)
    if asked is not None and asked not in known:
        msg = f"--strategy {asked}: run {path} has {', '.join(known)}"
        raise SettingsError(msg)
    return asked or known[0]


def _folds(path: Path, found: Sequence[int], asked: int | None) -> tuple[int, ...]:
    if asked is None:
        return tuple(sorted(found))
    if asked not in found:
        msg = f"--fold {asked}: run {path} has {', '.join(map(str, sorted(found)))}"
        raise SettingsError(msg)
    return (asked,)


def _need(path: Path, files_of: Mapping[int, Path]) -> None:
    missing = [str(k) for k, file in files_of.items() if not file.is_file()]
    if not missing:
        return
    what = "no weights" if len(missing) == len(files_of) else "no weights of fold "
    which = "" if len(missing) == len(files_of) else ", ".join(missing)
    msg = (
        f"run {path}: kept {what}{which}. Say the command that made it again with "
        "--save-weights."
    )
    raise SettingsError(msg)


def _load_weights(
    file: Path, results: Mapping[str, Any], name: str, fold: int
) -> RawCheckpoint:
    """Read a file of weights that must be of this run, strategy and fold."""
    held = readers.read_checkpoint(file)
    if held.format != native.METADATA:
        msg = f"weights {file}: not written by mmder-train; expected this run's own"
        raise WeightsError(msg)
    wanted = {
        "strategy": name,
        "fold": fold,
        "classes": results["classes"],
        "config": results["config"],
        "store_sha256": results["store"]["sha256"],
    }
    for key, value in wanted.items():
        if held.metadata.get(key) != value:
            msg = (
                f"weights {file}: of another run, its {key} differs. Put the run's "
                "own file back, or delete it and train again with --save-weights."
            )
            raise WeightsError(msg)
    return held


def _settings(path: Path, about: Mapping[str, Any], store: Path | None) -> PrepSettings:
    """Give the settings of the run's store."""
    if store is not None:
        opened = Store(store)
        if opened.sha256 != about["store_sha256"]:
            msg = f"--store {store}: run {path} was trained on another one"
            raise SettingsError(msg)
        return opened.spec.settings
    found = about.get("preparation")
    if found is None:
        msg = (
            f"run {path}: does not tell how its clips were prepared, an older mmder "
            "made it. Name the store that it was trained on with --store."
        )
        raise SettingsError(msg)
    if found["format"] != FORMAT_VERSION:
        msg = (
            f"run {path}: its clips were prepared in format {found['format']}, this "
            f"mmder prepares format {FORMAT_VERSION}. Train again on a store of it."
        )
        raise SettingsError(msg)
    return PrepSettings.from_json(found["settings"])


def _render_settings(config: Mapping[str, Any], sample_rate_hz: int) -> RenderSettings:
    choices = {
        "spectrogram": FIXED_DB,
        "colormap": ("viridis", "gray"),
        "spectrogram_norm": ("window", "clip", "fixed"),
    }
    for name, choice in choices.items():
        if config[name] not in choice:
            msg = f"{name} {config[name]!r}"
            raise ValueError(msg)
    return RenderSettings(
        spectrogram=config["spectrogram"],
        colormap=config["colormap"],
        spectrogram_norm=config["spectrogram_norm"],
        image_norm=IMAGE_NORMS[config["image_norm"]],
        sample_rate_hz=sample_rate_hz,
    )
