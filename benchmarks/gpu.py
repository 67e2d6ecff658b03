"""Speed of encoding and fine-tuning on a GPU, as a fraction of what the card can do.

First the card's own rate of matrix products is measured, in the number format of the
encoder. Then each part is timed and compared with that rate: the frozen encoder, a
training step with the batch that is fastest, and the paper's table of eight inputs and
six folds on generated clips. torch.profiler divides the time of encoder and step by the
kind of operation.

`--device cpu --encoder tiny-56 --clips 48` runs all of it on a CPU, in 32-bit floats.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import probe_table
from mmder_train.models.classifier import Classifier
from mmder_train.models.registry import Encoder, build_encoder
from mmder_train.models.videomae import Head
from mmder_train.runtime.device import (
    ENCODE_BATCH_SIZE,
    FROZEN_DTYPE,
    use_deterministic_algorithms,
)
from mmder_train.runtime.memory import is_out_of_memory, keep_freed_memory
from mmder_train.training.optim import constant_lr, create_optimizer
from mmder_train.training.train_state import MicroBatch, TrainState
from record import Figure, recorded, save, show

CLASSES, STRATEGIES = 7, 8
PEAK_SIZES = {"cpu": (512, 1024), "cuda": (4096, 8192, 16384)}
"""Sides of the square matrices whose products are timed."""
TRAIN_BATCHES = {"cpu": (1, 2, 4), "cuda": (4, 8, 16, 32, 64)}
"""Clips per step that are tried; larger ones are left out once one does not fit."""
TIMED_S = {"cpu": 0.5, "cuda": 3.0}
"""Time for which an operation is repeated."""
KINDS = {
    "attention": ("flash", "fmha", "sdpa", "attention", "softmax"),
    "matrix products": (
        *("gemm", "nvjet", "cutlass", "xmma", "cublas", "addmm", "::mm", "::bmm"),
        *("matmul", "linear", "convolution", "conv"),
    ),
    "optimizer": ("adam", "multi_tensor", "_foreach"),
    "copies": ("memcpy", "memset", "copy_", "fill_"),
}
"""Kinds of operations, by parts of their names. The first that fits counts."""
OTHER, IDLE = "norms and elementwise", "waiting"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Clips per second of an operation, and the products that a clip takes."""

    clips_per_s: float
    flops_per_clip: float

    def share(self, peak: float) -> float:
        """Return the fraction of a rate of operations, in FLOP/s, that it reaches."""
        return self.clips_per_s * self.flops_per_clip / peak


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--encoder", default="large")
    parser.add_argument("--clips", type=int, default=probe_table.CLIPS)
    parser.add_argument("--record", action="store_true", help="save the figures")
    options = parser.parse_args(words)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "benchmarks/gpu.py: torch finds no GPU. Try it on a CPU with --device cpu "
            "--encoder tiny-56 --clips 48."
        )
    card = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    key = f"gpu {options.encoder} {options.clips} clips, {card}"
    figures = measure(options.device, options.encoder, options.clips)
    show({key: figures}, recorded())
    if options.record:
        save({key: figures})


def measure(kind: str, encoder: str, clips: int) -> list[Figure]:
    """Measure the card, the encoder, the step and the table, in this order.

    Args:
        kind: Kind of device, ``cpu`` or ``cuda``.
        encoder: Name of the encoder.
        clips: Number of clips of the table.
    """
    device = torch.device(kind)
    if kind == "cpu":
        keep_freed_memory()
    peak = peak_rate(device)
    forward, training = count_flops(encoder)
    figures = [
        Figure(
            name="matrix products of the card",
            value=peak / 1e12,
            unit="TFLOP/s",
            better="more",
        )
    ]
    model = frozen_encoder(encoder, device)
    clip = torch.randn(
        ENCODE_BATCH_SIZE[kind], 3, 16, model.side_px, model.side_px, device=device
    )
    batch = clip.to(FROZEN_DTYPE[kind])
    encode = inference(model, batch)
    rate = Rate(
        clips_per_s=len(batch) / seconds_per_call(encode, device),
        flops_per_clip=forward,
    )
    figures += rate_figures(f"frozen, {len(batch)} clips per batch", rate, peak)
    figures += profile_figures("frozen", encode, device)
    del model, encode
    if kind == "cuda":
        use_deterministic_algorithms()
    size, clips_per_s = fastest_step(encoder, device)
    rate = Rate(clips_per_s=clips_per_s, flops_per_clip=training)
    figures += rate_figures(f"finetune, {size} clips per step", rate, peak)
    figures += profile_figures("finetune", training_step(encoder, device, size), device)
    torch.use_deterministic_algorithms(False)
    figures += table_figures(clips, encoder, kind, forward=forward, peak=peak)
    return figures


def peak_rate(device: torch.device) -> float:
    """Return the highest rate of matrix products that is reached, in FLOP/s."""
    best = 0.0
    for side in PEAK_SIZES[device.type]:
        a, b = (
            torch.randn(side, side, device=device, dtype=FROZEN_DTYPE[device.type])
            for _ in range(2)
        )
        seconds = seconds_per_call(lambda a=a, b=b: a @ b, device)  # type: ignore[misc]
        best = max(best, 2 * side**3 / seconds)
    return best


def count_flops(encoder: str) -> tuple[float, float]:
    """Return the FLOP of matrix products per clip: forward, and with backward."""
    with torch.device("meta"):
        model = build_encoder(encoder)
        clip = torch.empty(1, 3, 16, model.side_px, model.side_px)
    with FlopCounterMode(display=False) as counter:
        out = model(clip)
    forward = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    return float(forward), float(forward + counter.get_total_flops())


def frozen_encoder(encoder: str, device: torch.device) -> Encoder:
    """Return an encoder as a linear probe uses it."""
    model = build_encoder(encoder).to(device=device, dtype=FROZEN_DTYPE[device.type])
    return model.eval()


def inference(model: nn.Module, batch: torch.Tensor) -> Callable[[], object]:
    """Return a function that encodes a batch."""

    @torch.inference_mode()
    def encode() -> object:
        return model(batch)

    return encode


def training_step(
    encoder: str, device: torch.device, clips: int
) -> Callable[[], object]:
    """Return a function that takes an optimizer step of fine-tuning."""
    torch.manual_seed(0)
    backbone = build_encoder(encoder)
    model = Classifier(backbone, Head(backbone.dim, CLASSES)).to(device)
    state = TrainState(
        model=model,
        optimizer=create_optimizer(model, lr=1e-5, weight_decay=0.05),
        set_lr=constant_lr,
        device=device,
    )
    x = torch.randn(clips, 3, 16, backbone.side_px, backbone.side_px, device=device)
    target = torch.arange(clips, device=device) % CLASSES

    def step() -> object:
        return state.train_step(iter([MicroBatch(x=x, target=target)]), clips=clips)

    return step


def fastest_step(encoder: str, device: torch.device) -> tuple[int, float]:
    """Return the clips per step that are fastest, and their clips per second."""
    best = 0, 0.0
    for clips in TRAIN_BATCHES[device.type]:
        try:
            seconds = seconds_per_call(training_step(encoder, device, clips), device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not best[0]:
                raise
            break
        best = max(best, (clips, clips / seconds), key=lambda entry: entry[1])
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return best


def seconds_per_call(task: Callable[[], object], device: torch.device) -> float:
    """Return the mean seconds of a call, after two calls that are not timed."""
    for _ in range(2):
        task()
    wait(device)
    calls, start = 0, time.perf_counter()
    while not calls or time.perf_counter() - start < TIMED_S[device.type]:
        task()
        calls += 1
        # The process runs ahead of a GPU, and would queue calls without end.
        if calls % 4 == 0:
            wait(device)
    wait(device)
    return (time.perf_counter() - start) / calls


def wait(device: torch.device) -> None:
    """Wait until a GPU has computed everything that was started."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def rate_figures(name: str, rate: Rate, peak: float) -> list[Figure]:
    """Return a rate, and the fraction of the card's own that it reaches."""
    return [
        Figure(name=name, value=rate.clips_per_s, unit="clips/s", better="more"),
        Figure(
            name=f"{name}: of the card's products",
            value=100 * rate.share(peak),
            unit="% of peak",
            better="more",
        ),
    ]


def profile_figures(
    name: str, task: Callable[[], object], device: torch.device, calls: int = 3
) -> list[Figure]:
    """Return the fractions of the time that each kind of operation takes."""
    task()
    wait(device)
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, acc_events=True) as profiler:
        start = time.perf_counter()
        for _ in range(calls):
            task()
        wait(device)
        elapsed = time.perf_counter() - start
    events = operations(profiler.key_averages(), device.type)
    return [
        Figure(
            name=f"{name}: time in {kind}",
            value=100 * fraction,
            unit="% of time",
            better="more" if kind in ("attention", "matrix products") else "less",
        )
        for kind, fraction in breakdown(events, elapsed).items()
    ]


def operations(averages: Iterable[Any], kind: str) -> Iterator[tuple[str, float]]:
    """Yield the name and the own seconds of each operation that was profiled.

    Args:
        averages: Events of torch.profiler.
        kind: Kind of device. On a GPU its kernels count, not the calls that start them.
    """
    for event in averages:
        if kind == "cpu":
            yield event.key, event.self_cpu_time_total / 1e6
        elif "CUDA" in str(event.device_type):
            yield event.key, event.self_device_time_total / 1e6


def breakdown(
    events: Iterable[tuple[str, float]], elapsed_s: float
) -> Mapping[str, float]:
    """Return the fraction of the time of each kind of operation. They add up to 1.

    Args:
        events: Name and seconds of each operation.
        elapsed_s: Time in which they ran. What no operation takes is waiting.
    """
    seconds: dict[str, float] = defaultdict(float)
    for name, taken in events:
        seconds[kind_of(name)] += taken
    busy = sum(seconds.values())
    # Operations may overlap, on a GPU with several streams.
    whole = max(elapsed_s, busy)
    kinds = [*KINDS, OTHER]
    return {k: seconds[k] / whole for k in kinds} | {IDLE: (whole - busy) / whole}


def kind_of(name: str) -> str:
    """Return the kind of an operation or a kernel, by its name."""
    lower = name.lower()
    for kind, parts in KINDS.items():
        if any(part in lower for part in parts):
            return kind
    return OTHER


def table_figures(
    clips: int, encoder: str, kind: str, *, forward: float, peak: float
) -> list[Figure]:
    """Run the paper's table, and return its times and the rate of its encoding."""
    figures = probe_table.measure(clips, encoder, kind, before=False)
    seconds = {figure.name: figure.value for figure in figures}
    rate = Rate(
        clips_per_s=STRATEGIES * clips / seconds["encoding"], flops_per_clip=forward
    )
    return figures + rate_figures("table: encoding", rate, peak)


if __name__ == "__main__":
    main()
