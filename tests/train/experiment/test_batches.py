"""Encoder-ready batches of an epoch: read once, by threads, in the same order."""

import multiprocessing.process
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmder_store import Store
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.modality_dropout import draw_dropped
from mmder_train.data.stored_arrays import StoreRows
from mmder_train.experiment import feature_extraction
from mmder_train.experiment.batches import FusedBatches
from mmder_train.experiment.setup import setup_experiment
from train_runs import (
    RANDOMIZED,
    Train,
    read_all_numbers,
    read_results,
    run_before_step,
)

TUNE = ("sound.zarr", "--strategy", "audio", "--method", "finetune", "--epochs", "2")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, int]]:
    """Return how often each clip of each array has been read."""
    counts: Counter[tuple[str, int]] = Counter()
    original = Store.read_batch

    def counted(self: Store, name: str, rows: Sequence[int], out: Any = None) -> Any:
        counts.update((name, row) for row in rows)
        return original(self, name, rows, out)

    monkeypatch.setattr(Store, "read_batch", counted)
    return counts


def readers() -> list[str]:
    """Return the names of all threads that read."""
    names = [t.name for t in threading.enumerate()]
    return [name for name in names if name.startswith("mmder-reader")]


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


def test_threads_do_not_change_a_run_and_end_with_it(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it is stopped and resumed. No process is started for reading."""

    def never(_: object) -> None:
        pytest.fail("a process was started")

    def stop() -> None:
        seen.extend(readers())
        signal.raise_signal(signal.SIGTERM)

    seen: list[str] = []
    words = [*TUNE, "--fold", "1", "--batch-size", "3", *RANDOMIZED]
    monkeypatch.setattr("mmder_train.data.held_clips.HELD_BYTES", 0)
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", never)
    assert train(*words, "--workers", "0", "--out", "a").exit_code == 0
    with monkeypatch.context() as patch:
        run_before_step(patch, 3, stop)
        stopped = train(*words, "--workers", "2", "--out", "b")
    assert stopped.exit_code == 128 + signal.SIGTERM
    assert seen
    assert not readers()
    done = train(*words, "--workers", "2", "--out", "b")
    assert done.exit_code == 0, done.output
    assert not readers()
    assert read_all_numbers("a") == read_all_numbers("b")


def test_threads_end_after_ctrl_c(
    train_cached: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def interrupt(*_: Any, **__: Any) -> None:
        seen.extend(readers())
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_extraction, "extract_features", interrupt)
    assert train_cached("--workers", "2", "--out", "a").exit_code == 130
    assert seen
    assert not readers()


def test_a_damaged_clip_ends_the_run_and_its_threads_with_one_line(
    stores: Path, train: Train, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.zarr"
    shutil.copytree(stores / "sound.zarr", damaged)
    (shard,) = (damaged / "stft_16" / "c" / "1").rglob("0/0/0")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    done = train(str(damaged), *TUNE[1:], "--workers", "2", "--out", "a")
    assert done.exit_code == 1
    assert not readers()
    last = done.stderr.strip().splitlines()[-1]
    assert f"store {damaged}: stft_16[" in last
    assert "it is clip 'c00" in last
    assert "Traceback" not in done.output


def test_all_strategies_and_folds_read_each_clip_once(
    train_cached: Train, reads: Counter[tuple[str, int]]
) -> None:
    words = ("--strategy", "all", "--fold", "all", "--feature-cache", "none")
    done = train_cached(*words, "--workers", "2", "--out", "a")
    assert done.exit_code == 0, done.output
    assert {name for name, _ in reads} == {"frames", "stft_16", "stft_8"}
    # The third clip has no face, and only `audio` takes it.
    expected = {(name, row) for name in ("frames", "stft_8") for row in range(16)}
    expected -= {("frames", 2), ("stft_8", 2)}
    expected |= {("stft_16", row) for row in range(16)}
    assert reads == Counter(expected)


def test_epochs_folds_and_evaluations_read_each_clip_once(
    train: Train, reads: Counter[tuple[str, int]]
) -> None:
    done = train(*TUNE, "--val", "speakers", "--report-best-test-epoch", "--out", "a")
    assert done.exit_code == 0, done.output
    assert len(read_results("a")["strategies"]["audio"]["folds"]) > 1
    assert reads
    assert set(reads.values()) == {1}


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
    feed = ClipFeed.create(
        StoreRows(store=experiment.store),
        device=experiment.device,
        rows=strategy_run.clips.row,
        names=[],
    )
    fused = FusedBatches(experiment, strategy_run, feed)
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
