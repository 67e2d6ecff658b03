"""Fusion, encoder and fine-tuning on a GPU: right, reproducible, without waiting."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fake_store import make_store
from mmder_store import Store
from mmder_train.data import held_clips
from mmder_train.data.clip_feed import ClipFeed
from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.data.sampler import BatchSampler
from mmder_train.data.stored_arrays import ClipArrays, StoreRows
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.models.registry import build_encoder
from mmder_train.runtime.device import mixed_precision
from mmder_train.training.train_state import TrainState
from train_runs import invoke, read_all_numbers, run_before_step

pytestmark = pytest.mark.gpu
WORDS = (
    *("--method", "finetune", "--encoder", "small", "--strategy", "cfas"),
    *("--spectrogram", "mel", "--fold", "1", "--batch-size", "8", "--epochs", "3"),
    *("--augment", "all", "--mask", "0.2", "--erase", "0.25", "--mixup", "0.8"),
    *("--cutmix", "1", "--drop-path", "0.1", "--label-smoothing", "0.1"),
    *("--ema-decay", "0.9", "--clip-grad", "1", "--layer-decay", "0.8"),
    *("--device", "cuda", "--workers", "0"),
)
"""A short fine-tuning with everything that draws random numbers."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of 48 clips with video and audio."""
    path = tmp_path_factory.mktemp("gpu") / "av.zarr"
    make_store(path, clips=48, speakers=6, planted="picture sound")
    return path


def finetune(store: Path, out: Path, *words: str) -> dict[str, Any]:
    result = invoke("--store", str(store), *WORDS, *words, "--out", str(out))
    assert result.exit_code == 0, result.output
    return read_all_numbers(out)


@pytest.mark.parametrize("colormap", ["viridis", "gray"])
@pytest.mark.parametrize("spectrogram", ["mfcc", "stft", "mel"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_gpu_fuses_what_a_cpu_fuses(
    strategy: str, spectrogram: str, colormap: str
) -> None:
    kind = STRATEGIES[strategy]
    torch.manual_seed(0)
    frames = audio = None
    if kind.frames:
        shape = 3, kind.frames, 224, 224, 3
        frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    if kind.windows:
        columns = 41 if kind.windows == 16 else 81
        rows = 40 if spectrogram == "mfcc" else 257
        audio = (torch.randn(3, kind.windows, rows, columns) * 20 - 40).half()
    orders = frame_permutations(["a", "b", "c"], seed=0)
    settings = RenderSettings(
        spectrogram=spectrogram,  # type: ignore[arg-type]
        colormap=colormap,  # type: ignore[arg-type]
        spectrogram_norm="fixed",
    )

    def fused(device: str) -> torch.Tensor:
        return fuse(
            None if frames is None else frames.to(device),
            None if audio is None else audio.to(device),
            orders.to(device),
            strategy=kind,
            settings=settings,
        ).cpu()

    # A value between two colors may round to either.
    apart = (fused("cuda") - fused("cpu")).abs()
    assert (apart > 1e-5).float().mean() < 1e-4
    assert apart.max() < 0.2


def test_attention_uses_a_fused_kernel(gpu: torch.device) -> None:
    encoder = build_encoder("large").to(gpu).eval()
    x = torch.randn(2, 3, 16, 224, 224, device=gpu)
    with (
        torch.inference_mode(),
        mixed_precision(gpu),
        torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CUDA]
        ) as profile,
    ):
        encoder(x)
        torch.cuda.synchronize()
    names = {event.key.lower() for event in profile.key_averages()}
    assert any("flash" in n or "cudnn" in n or "fmha" in n for n in names), names


def test_two_runs_are_equal_and_a_stopped_one_resumes_bit_for_bit(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finetune(store, tmp_path / "first")
    assert finetune(store, tmp_path / "second") == first
    with monkeypatch.context() as patch:
        run_before_step(patch, 7, lambda: signal.raise_signal(signal.SIGTERM))
        words = ("--store", str(store), *WORDS, "--out", str(tmp_path / "parts"))
        assert invoke(*words).exit_code == 128 + signal.SIGTERM
    assert finetune(store, tmp_path / "parts") == first


def test_neither_threads_nor_held_clips_change_a_run(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips are copied next to the computation, from memory that is used again."""
    first = finetune(store, tmp_path / "held")
    monkeypatch.setattr(held_clips, "HELD_FRACTION", 0.0)
    for threads in "0", "4":
        out = tmp_path / threads
        assert finetune(store, out, "--workers", threads) == first


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("held", [True, False])
def test_batches_on_the_gpu_are_the_stored_clips(
    store: Path, gpu: torch.device, threads: int, held: bool
) -> None:
    """Also if the GPU is busy while the next batches are read and copied."""
    clips = ClipArrays(
        reader=StoreRows(store=Store(store)),
        rows=np.arange(48),
        strategy=STRATEGIES["ffls"],
        spectrogram="mfcc",
    )
    sampler = BatchSampler(np.arange(48), batch_size=5, seed=0)
    names = list(clips.arrays.values()) if held else []
    busy = torch.randn(4096, 4096, device=gpu)
    with ReaderThreads(threads) as readers:
        feed = ClipFeed.create(
            clips.reader, device=gpu, readers=readers, rows=clips.rows, names=names
        )
        batches = feed.loader(clips, sampler)
        for epoch in range(2):
            sampler.set_epoch(epoch)
            found = []
            for batch in batches:
                for _ in range(20):
                    busy = (busy @ busy).tanh_()
                found.append(batch)
            assert [b["clip"].tolist() for b in found] == list(sampler)
            for batch in found:
                expected = clips.read(batch["clip"].tolist())
                assert batch["frames"].is_cuda
                assert torch.equal(batch["frames"].cpu(), expected["frames"])
                assert torch.equal(batch["audio"].cpu(), expected["audio"])


def test_a_step_waits_for_the_gpu_nowhere(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first steps compile kernels and copy constants; the others must not wait."""
    train_step = TrainState.train_step

    def checked(self: TrainState, *args: Any, **kwargs: Any) -> float | None:
        torch.cuda.set_sync_debug_mode("error" if self.step > 3 else "default")
        try:
            return train_step(self, *args, **kwargs)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(TrainState, "train_step", checked)
    finetune(store, tmp_path / "run", "--clip-grad", "0", "--ema-decay", "0")


def test_compiled_blocks_train_to_the_same_loss(store: Path, tmp_path: Path) -> None:
    plain = finetune(store, tmp_path / "plain")["every"][0]["history"]
    fast = finetune(store, tmp_path / "fast", "--compile")["every"][0]["history"]
    for a, b in zip(plain, fast, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=0.05)


def test_too_large_a_batch_is_one_line_that_names_what_fits(
    store: Path, tmp_path: Path
) -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(
        4 * 2**30 / torch.cuda.get_device_properties(0).total_memory
    )
    try:
        words = [*WORDS, "--encoder", "base", "--batch-size", "32"]
        result = invoke("--store", str(store), *words, "--out", str(tmp_path / "run"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.exit_code == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "out of memory" in last
    assert "Traceback" not in result.output


@pytest.mark.parametrize("method", ["finetune", "linear-probe"])
def test_torchrun_trains_with_nccl(store: Path, tmp_path: Path, method: str) -> None:
    words = ["--store", str(store), "--strategy", "cfas", "--encoder", "tiny-56"]
    words += ["--method", method, "--fold", "1", "--epochs", "2", "--device", "cuda"]
    program = "from mmder_train.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1",
         "--no-python", sys.executable, "-c", program, *words,
         "--out", str(tmp_path / method)],
        env=os.environ | {"PYTHONPATH": ":".join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_all_numbers(tmp_path / method)["every"]
