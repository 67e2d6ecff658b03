"""CPU time of an encoder per clip: forward, and forward with backward.

One clip of random numbers, random weights, float32, one thread. The first pass of each
kind is not counted.
"""

import time
from collections.abc import Callable
from statistics import median

import torch

from mmder_train.models.registry import build_encoder
from mmder_train.runtime.memory import keep_freed_memory
from record import Figure, main

ENCODERS = ("tiny", "tiny-56", "small", "base")
PASSES = 3
"""Number of passes of which the median is taken."""


def measure(quick: bool) -> list[Figure]:
    """Time each encoder; a quick run leaves out the largest."""
    torch.set_num_threads(1)
    keep_freed_memory()
    figures = []
    for name in ENCODERS[:-1] if quick else ENCODERS:
        torch.manual_seed(0)
        encoder = build_encoder(name)
        clip = torch.randn(1, 3, 16, encoder.side_px, encoder.side_px)

        def forward(encoder: torch.nn.Module = encoder, x: torch.Tensor = clip) -> None:
            with torch.inference_mode():
                encoder(x)

        def train(encoder: torch.nn.Module = encoder, x: torch.Tensor = clip) -> None:
            encoder(x).sum().backward()

        for title, task in (
            ("forward", forward),
            ("forward and backward", train),
        ):
            figures.append(
                Figure(
                    name=f"{name}: {title}",
                    value=_cpu_seconds(task),
                    unit="s CPU/clip",
                    better="less",
                )
            )
    return figures


def _cpu_seconds(task: Callable[[], object]) -> float:
    task()
    times = []
    for _ in range(PASSES):
        start_s = time.process_time()
        task()
        times.append(time.process_time() - start_s)
    return median(times)


if __name__ == "__main__":
    main(measure)
