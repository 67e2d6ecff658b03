"""Choice of the device, and its number format."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from mmder_store.errors import SettingsError

ENCODE_BATCH_SIZE = {"cpu": 8, "cuda": 32}
"""Number of clips that go through a frozen encoder together, by kind of device. With
several processes, each has as many."""
FROZEN_DTYPE = {"cpu": torch.float32, "cuda": torch.bfloat16}
"""Number format of a frozen encoder's weights and tokens, by kind of device. Its pooled
features are 32-bit floats, and so are all numbers of a head."""


def choose_device(name: str) -> str:
    """Return the kind of device: the named one, or a GPU if there is one.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        SettingsError: If ``cuda`` is named and there is no GPU.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        msg = "--device cuda: torch finds no GPU. Use --device cpu."
        raise SettingsError(msg)
    return "cuda" if gpu and name != "cpu" else "cpu"


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that computes in bfloat16 on a GPU, and in float32 elsewhere."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"
    )


def use_deterministic_algorithms() -> None:
    """Make the operations of GPUs deterministic, those of gradients included."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # With `warn_only`, the backward pass of attention would not be deterministic.
    torch.use_deterministic_algorithms(True)
    # Filling new tensors with NaN finds reads of them; it costs time in every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def model_precision(
    model: nn.Module, device: torch.device
) -> AbstractContextManager[None]:
    """Return the context in which a model is evaluated.

    A frozen encoder is in `FROZEN_DTYPE` as a whole. Mixed precision would convert the
    inputs of its norms to float32 and back.
    """
    parameter = next(model.parameters(), None)
    if parameter is not None and parameter.dtype == torch.bfloat16:
        return nullcontext()
    return mixed_precision(device)
