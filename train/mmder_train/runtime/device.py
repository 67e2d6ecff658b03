"""Choice of the device, and its number format."""

from contextlib import AbstractContextManager

import torch

from mmder_store.errors import SettingsError

ENCODE_BATCH_SIZE = {"cpu": 8, "cuda": 32}
"""Number of clips that go through a frozen encoder together, by kind of device."""


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
