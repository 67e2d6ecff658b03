"""One pass over clips, learning or not. No files, no options."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn, optim
from torch.nn import functional

from mmder_store.errors import MmderError
from mmder_train.fusion import Look, Strategy, fused

Batch = Mapping[str, Tensor]
Inputs = Iterable[tuple[Tensor, Tensor]]
"""Positions of a batch's clips, and what the model takes of them."""


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """Give bfloat16 on a GPU; elsewhere it saves nothing."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"
    )


def inputs(
    batches: Iterable[Batch],
    *,
    strategy: Strategy,
    look: Look,
    places: Int64[Tensor, "all 16"],
    device: torch.device,
    vary_sound: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Bring stored clips to the device as they are, and fuse them there.

    Args:
        batches: From `clips.loader`.
        strategy: How they are fused.
        look: How sound is painted.
        places: Order of RFAS of every clip.
        device: Where the model is.
        vary_sound: Augments sound before it is painted.
    """
    for batch in batches:
        there = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
        if vary_sound and "sound" in there:
            there["sound"] = vary_sound(there["sound"])
        yield (
            batch["clip"],
            fused(
                there.get("frames"),
                there.get("sound"),
                places.to(device)[there["clip"]],
                strategy=strategy,
                look=look,
            ),
        )


def train_one_epoch(
    model: nn.Module,
    batches: Inputs,
    labels: Int64[Tensor, " all"],
    *,
    optimiser: optim.Optimizer,
    set_rate: Callable[[int], None],
    first_step: int,
    label_smoothing: float = 0.0,
) -> float:
    """Take one step a batch; give the mean loss of all clips.

    Paper: IV-B3, "sparse categorical cross-entropy".

    Args:
        model: Gives logits.
        batches: Made with `inputs`, or stored features.
        labels: Label of every clip, on the model's device.
        optimiser: Over the model's parameters.
        set_rate: Called with the number of each step, counted over all epochs.
        first_step: Steps taken before this epoch.
        label_smoothing: Share of each target that is spread over all classes.

    Raises:
        MmderError: If the loss is no number any more.
    """
    model.train()
    total, clips = 0.0, 0
    for step, (index, batch) in enumerate(batches, start=first_step):
        set_rate(step)
        with mixed_precision(labels.device):
            logits = model(batch)
        loss = functional.cross_entropy(
            logits.float(),
            labels[index.to(labels.device)],
            label_smoothing=label_smoothing,
        )
        value = loss.item()
        if not math.isfinite(value):
            msg = (
                f"step {step + 1}: the loss is {value}. A smaller --lr may help; if "
                "not, look at the store with mmder-prep verify."
            )
            raise MmderError(msg)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total, clips = total + value * len(index), clips + len(index)
    return total / clips


@torch.inference_mode()
def apply(
    model: nn.Module, batches: Inputs, *, device: torch.device
) -> tuple[Int64[Tensor, " clip"], Float[Tensor, "clip out"]]:
    """Give the positions of all clips and what the model makes of them, on the CPU."""
    model.eval()
    index, out = [], []
    for positions, batch in batches:
        with mixed_precision(device):
            result = model(batch)
        index.append(positions)
        out.append(result.float().cpu())
    return torch.cat(index), torch.cat(out)
