"""Models of a finished run are loaded, or the problem is reported in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result

from fake_store import make_store
from mmder_store.errors import SettingsError
from mmder_train.evaluation.run_directory import RESULTS_VERSION
from mmder_train.inference.trained_run import load_trained_run
from mmder_train.weights import native, readers
from small_run import STRATEGIES, SmallRun

Predict = Callable[..., Result]


def test_metadata_contains_preparation_and_training_clips(small_run: SmallRun) -> None:
    metadata = readers.read_checkpoint(
        small_run.run_dir / "weights" / "sfas-1.safetensors"
    ).metadata
    assert metadata["preparation"]["settings"]["step_frames"] == 3
    assert metadata["trained_clips"] == ["c4", "c6", "c7"]
    assert "/" not in json.dumps(metadata)


def test_defaults_load_all_folds(small_run: SmallRun) -> None:
    trained_run = load_trained_run(str(small_run.run_dir), strategy="rfas")
    assert trained_run.strategy.name == "rfas"
    assert trained_run.folds == (1, 2)
    assert trained_run.folds_text() == "folds 1, 2"
    assert trained_run.device.type == "cuda" if torch.cuda.is_available() else "cpu"
    with pytest.raises(
        SettingsError, match=f"strategies {', '.join(sorted(STRATEGIES))}"
    ):
        load_trained_run(small_run.run_dir)
    with pytest.raises(
        SettingsError, match="'tpu': unknown; expected one of auto, cpu"
    ):
        load_trained_run(small_run.run_dir, strategy="rfas", device="tpu")


def rewrite_weights(
    run_dir: Path, folder: Path, change: Callable[[dict[str, Any]], object]
) -> Path:
    """Copy a run, and change the metadata of its audio weights."""
    shutil.copytree(run_dir, folder)
    for file in (folder / "weights").glob("audio-*"):
        checkpoint = readers.read_checkpoint(file)
        metadata = {k: v for k, v in checkpoint.metadata.items() if k != "format"}
        change(metadata)
        native.save_weights(file, checkpoint.tensors, metadata)
    return folder


def test_a_run_without_preparation_needs_its_store(
    small_run: SmallRun, tmp_path: Path, predict: Predict
) -> None:
    old = rewrite_weights(
        small_run.run_dir,
        tmp_path / "old",
        lambda metadata: metadata.pop("preparation"),
    )
    with pytest.raises(SettingsError, match="an older mmder wrote it"):
        load_trained_run(old, strategy="audio", device="cpu")
    trained_run = load_trained_run(
        old, strategy="audio", fold=1, store=small_run.store, device="cpu"
    )
    assert trained_run.prep_settings == small_run.load("audio", 1).prep_settings
    other = make_store(tmp_path / "other.zarr", clips=8, modality="audio")
    words = (small_run.media, "--run", old, "--strategy", "audio")
    completed = predict(*words, "--store", other.path)
    assert "was trained on another store" in completed.stderr


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda w: shutil.rmtree(w), "contains no weights. Run its command again with"),
        (
            lambda w: (w / "audio-2.safetensors").unlink(),
            "contains no weights of fold 2",
        ),
        (lambda w: truncate(w / "audio-1.safetensors"), "damaged or truncated"),
        (
            lambda w: (w / "encoder.safetensors").unlink(),
            "contains a head only. Its encoder, encoder.safetensors, is not in",
        ),
        (lambda w: truncate(w / "encoder.safetensors"), "was changed since"),
        (
            lambda w: shutil.copy(w / "audio-1.safetensors", w / "audio-2.safetensors"),
            "from another run, fold differs",
        ),
        (
            lambda w: torch.save({}, w / "audio-1.safetensors"),
            "audio-1.safetensors",
        ),
        (lambda w: (w.parent / "results.json").unlink(), "not finished (6 folds are)"),
        (
            lambda w: (w.parent / "results.json").write_text(
                json.dumps({"format": RESULTS_VERSION})
            ),
            "not in the format of this mmder-train",
        ),
    ],
)
def test_an_unusable_run_is_reported_in_one_line(
    small_run: SmallRun,
    tmp_path: Path,
    predict: Predict,
    change: Callable[[Path], object],
    text: str,
) -> None:
    shutil.copytree(small_run.run_dir, tmp_path / "run")
    change(tmp_path / "run" / "weights")
    words = ("--run", tmp_path / "run", "--strategy", "audio")
    completed = predict(small_run.media, *words)
    assert completed.exit_code == 1
    assert completed.stderr.startswith("mmder-train: error: ")
    assert completed.stderr.count("\n") == 1
    assert text in completed.stderr
