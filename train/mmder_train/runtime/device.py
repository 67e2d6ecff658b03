"""TODO."""

from contextlib import AbstractContextManager

import torch

from mmder_store.errors import SettingsError

ENCODE_BATCH_SIZE = {"cpu": 8, "cuda": 32}
"""Clips through the frozen encoder at once."""


def choose_device(name: str) -> str:
    """Give the kind of device: what is asked for, or a GPU where there is one.

    Raises:
        SettingsError: If a GPU is asked for and there is none.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        msg = "--device cuda: torch sees no GPU here. Say --device cpu."
        raise SettingsError(msg)
    return "cuda" if gpu and name != "cpu" else "cpu"


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """Give bfloat16 on a GPU; elsewhere it saves nothing."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"
    )
