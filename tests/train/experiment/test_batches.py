"""Encoder-ready batches of an epoch."""

from pathlib import Path

import numpy as np
import torch

from mmder_store import Store
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.modality_dropout import draw_dropped
from mmder_train.experiment.batches import FusedBatches
from mmder_train.experiment.setup import setup_experiment
from mmder_train.experiment.types import RuntimeContext
from mmder_train.runtime.progress import silent
from train_runs import Train, read_results


def test_resampled_rfas_orders_change_the_training(train: Train) -> None:
    words = ["av.zarr", "--strategy", "rfas", "--method", "finetune"]
    words += ["--fold", "1", "--epochs", "2"]
    train(*words, "--out", "a")
    train(*words, "--rfas-resample", "--out", "b")
    a, b = (
        read_results(run)["strategies"]["rfas"]["folds"][0]["train_loss"]
        for run in "ab"
    )
    assert a != b


def test_modality_dropout_does_not_depend_on_the_steps(
    stores: Path, small_encoder: None
) -> None:
    """A clip lacks what the seed, its name and the epoch draw, in any micro-batch."""
    config = TrainConfig(
        strategies=("ofos",),
        labels="",
        protocol="",
        method="finetune",
        modality_dropout=0.7,
        epochs=2,
        batch_size=4,
        lr=0.01,
        seed=2,
    )
    experiment = setup_experiment(Store(stores / "av.zarr"), config)
    strategy_run = experiment.strategies[0]
    context = RuntimeContext(progress=silent(), checkpoints=Path("checkpoints"))
    fused = FusedBatches(experiment, strategy_run, context)
    steps = fused.for_training(np.arange(12))

    def inputs(epoch: int, first_step: int, parts: int) -> dict[int, torch.Tensor]:
        found: dict[int, torch.Tensor] = {}
        for step in steps(epoch, first_step):
            x = torch.cat([batch.x for batch in step.split(parts)])
            found |= dict(zip(step.index.tolist(), x, strict=True))
        return found

    expected = draw_dropped(
        strategy_run.clips.clip_id[:12], probability=0.7, seed=2, epoch=1
    )
    assert {"video", "audio", None} == set(expected)
    whole = inputs(1, 0, 1)
    for clip, x in whole.items():
        empty = (x == 0).all(3).all(2).all(0).nonzero().flatten().tolist()
        dropped = expected[clip]
        assert empty == ([] if dropped is None else [*range(dropped == "audio", 16, 2)])
    resumed = inputs(1, 1, 3)
    assert len(resumed) == 8
    assert all(torch.equal(x, whole[clip]) for clip, x in resumed.items())
