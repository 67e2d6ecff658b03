"""Runs of `mmder-train` in the process of the test, and their results."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mmder_train.cli.main import cli
from mmder_train.models.videomae import PoolingConfig
from mmder_train.training.train_state import TrainState
from mmder_train.weights.types import SourceInfo, Weights

Train = Callable[..., Result]
"""`mmder-train` with some options already set; takes the others."""

FINETUNE = (
    *("--strategy", "audio", "--method", "finetune", "--encoder", "tiny-56"),
    *("--spectrogram", "mel", "--fold", "1", "--batch-size", "4", "--epochs", "4"),
)
"""A short fine-tuning of one fold on audio."""
RANDOMIZED = (
    *("--augment", "audio", "--mask", "0.2", "--mixup", "0.3", "--cutmix", "1"),
    *("--drop-tokens", "0.5", "--drop-path", "0.2", "--label-smoothing", "0.1"),
    *("--ema-decay", "0.9", "--clip-grad", "1", "--layer-decay", "0.8"),
    *("--val", "speakers", "--grad-accum-steps", "2", "--sampler", "balanced"),
)
"""All options that draw random numbers, or add to the state of a checkpoint."""
PACE = ("learning_rate", "seconds", "clips_per_second", "waiting_fraction", "gpu_gib")
"""Metrics of an epoch that describe the run, not the model."""


def invoke(*arguments: str) -> Result:
    """Run `mmder-train` with these arguments."""
    return CliRunner().invoke(cli, list(arguments))


def read_results(folder: str | Path) -> dict[str, Any]:
    """Read the results of a run."""
    results: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return results


def read_all_numbers(folder: str | Path) -> dict[str, Any]:
    """Read the results of a run, and under ``every`` the results of each fold."""
    folds = sorted(Path(folder, "folds").iterdir())
    return read_results(folder) | {"every": [json.loads(f.read_text()) for f in folds]}


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """Read the metrics of a run, without those that describe the run itself."""
    lines = Path(folder, "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k not in PACE} for line in lines
    ]


def run_before_step(
    monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], None]
) -> None:
    """Run an action just before a step is taken."""
    train_step = TrainState.train_step

    def patched(self: TrainState, *args: Any, **kwargs: Any) -> float | None:
        if self.step == step:
            action()
        return train_step(self, *args, **kwargs)

    monkeypatch.setattr(TrainState, "train_step", patched)


def bare_weights(metadata: dict[str, Any]) -> Weights:
    """Return weights of mmder without tensors, for what their metadata says."""
    return Weights(
        name="w.safetensors",
        format="mmder",
        sha256="0",
        encoder="tiny",
        tensors={},
        dropped={},
        readout=PoolingConfig(),
        image_norm="imagenet",
        source_info=SourceInfo(),
        metadata=metadata,
    )
