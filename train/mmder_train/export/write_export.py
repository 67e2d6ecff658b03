"""Write an exported model as a folder: weights, configuration and model card."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmder_store.atomic_files import name_file_in_errors, write_json
from mmder_store.errors import SettingsError
from mmder_train import weights
from mmder_train.evaluation.load_results import load_results, load_run
from mmder_train.evaluation.seeds import results_of_seed
from mmder_train.export import huggingface
from mmder_train.export.model_card import CardFacts, model_card
from mmder_train.export.onnx import export_onnx, probe_clips
from mmder_train.inference.trained_run import TrainedRun, load_trained_run
from mmder_train.models.classifier import Classifier
from mmder_train.runtime.tensor_files import save_tensors

HUGGINGFACE_USAGE = """
import torch
from transformers import VideoMAEForVideoClassification

model = VideoMAEForVideoClassification.from_pretrained(FOLDER).eval()
model.fc_norm.eps = 1e-6  # as in training; transformers has no setting for it
with torch.inference_mode():
    probabilities = model(pixel_values=clips).logits.softmax(-1)
"""
ONNX_USAGE = """
import onnxruntime

session = onnxruntime.InferenceSession("FOLDER/model.onnx")
# Here the axes are clip, rgb, frame, height, width: (n, 3, 16, 224, 224).
(logits,) = session.run(None, {"clips": clips})
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """The model of one fold that is exported, with the results of its run."""

    trained: TrainedRun
    """The model and the settings of its input."""
    results: Mapping[str, Any]
    """Contents of ``results.json``."""
    classifier: Classifier
    """Encoder and head on the CPU."""


def export_run(
    run_dir: Path,
    out: Path,
    *,
    target: str,
    strategy: str | None,
    fold: int | None,
    seed: int | None = None,
) -> Path:
    """Export the model of one fold of a run.

    Args:
        run_dir: Folder of a finished run made with ``--save-weights``.
        out: Folder to write; it must not exist, or be empty.
        target: A key of `TARGETS`.
        strategy: Name of the strategy. None if the run has only one.
        fold: Number of the fold, from 1. None if the run has only one.
        seed: Seed of the model. None for the first seed of the run.

    Returns:
        The folder.

    Raises:
        MmderError: If there is no such model, the target cannot represent it, or the
            folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out}: exists; expected a folder that does not exist, or an empty one"
        raise SettingsError(msg)
    trained = load_trained_run(
        run_dir, strategy=strategy, fold=fold, seed=seed, device="cpu"
    )
    results = results_of_seed(load_results(run_dir), trained.seed)
    if len(trained.folds) > 1:
        msg = (
            f"run {run_dir}: has the {trained.folds_text()}, and an export is one "
            "model. Choose one with --fold."
        )
        raise SettingsError(msg)
    ensemble = trained.ensembles[0]
    export = Export(
        trained=trained,
        results=results,
        classifier=Classifier(ensemble.encoder, ensemble.heads[0]).eval(),
    )
    name = trained.strategy.name
    predictions = next(
        r
        for r in load_run(run_dir, run_dir.name)
        if r.strategy == name and r.config["seed"] == trained.seed
    )
    write, usage = TARGETS[target]
    with _atomic_folder(out) as draft:
        note = write(export, draft)
        facts = CardFacts(
            run=run_dir.resolve().name,
            fold=trained.folds[0],
            trained=trained,
            results=results,
            predictions=predictions,
            usage=usage,
            note=note,
        )
        (draft / "README.md").write_text(model_card(facts), encoding="utf-8")
    return out


def write_huggingface(export: Export, folder: Path) -> str:
    """Write a folder for ``VideoMAEForVideoClassification.from_pretrained``.

    Returns:
        A sentence on the agreement of its logits.
    """
    encoder = huggingface.check_exportable(
        export.classifier.encoder, name=export.results["config"]["encoder"]
    )
    tensors = weights.to_state_dict(encoder, export.classifier.head)
    save_tensors(
        folder / "model.safetensors",
        huggingface.to_transformers_names(tensors),
        {"format": "pt"},
    )
    write_json(
        folder / "config.json",
        huggingface.model_config(encoder, classes=export.trained.classes),
    )
    write_json(
        folder / "preprocessor_config.json",
        huggingface.preprocessor_config(export.trained.render_settings.image_norm),
    )
    return (
        "With the line on `fc_norm`, the logits are those of mmder to rounding. "
        "Without it, they differ by up to "
        f"{_epsilon_effect(export.classifier):.1g} on random images: transformers adds "
        "1e-5 to a variance, and mmder adds 1e-6 as the official VideoMAE does."
    )


def write_onnx(export: Export, folder: Path) -> str:
    """Write ``model.onnx``, with the class names next to it.

    Returns:
        A sentence on the agreement of its logits.
    """
    difference = export_onnx(export.classifier, folder / "model.onnx")
    write_json(folder / "classes.json", list(export.trained.classes))
    return (
        f"The logits of ONNX Runtime differ from those of mmder by {difference:.1g} at "
        "most on random images."
    )


Target = tuple[Callable[[Export, Path], str], str]
TARGETS: dict[str, Target] = {
    "huggingface": (write_huggingface, HUGGINGFACE_USAGE),
    "onnx": (write_onnx, ONNX_USAGE),
}
"""Function that writes each target, and the code that loads it."""


@torch.inference_mode()
def _epsilon_effect(model: Classifier) -> float:
    """Return the largest change of a logit by the epsilon of transformers."""
    pooled = model.encoder(probe_clips(2))
    norm = model.head.fc_norm
    theirs = torch.nn.functional.layer_norm(
        pooled, norm.normalized_shape, norm.weight, norm.bias, huggingface.NORM_EPSILON
    )
    return float((model.head.head(theirs) - model.head(pooled)).abs().max())


@contextmanager
def _atomic_folder(out: Path) -> Iterator[Path]:
    """Yield a draft folder; it is renamed to `out` on success."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{os.getpid()}.{out.name}")
    draft.mkdir()
    try:
        with name_file_in_errors(out):
            yield draft
            draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
