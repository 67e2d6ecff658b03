"""Recognize checkpoints that contain only a part of a model, and name the way out."""

import re
from collections.abc import Iterable
from pathlib import Path

from mmder_store.errors import WeightsError
from mmder_train.weights.types import RawCheckpoint

ADAPTER = re.compile(
    r"\.(lora_[A-Za-z_]+|base_layer|original_module|modules_to_save)\b"
)
"""Names that peft and loralib add to the tensors of a model."""
ZERO_FILE = re.compile(r".*zero_pp_rank_\d+_mp_rank_\d+.*\.pt|zero_to_fp32\.py")
"""Names of the files of DeepSpeed ZeRO."""
ZERO_ADVICE = (
    "DeepSpeed ZeRO saves a model in parts: run the script zero_to_fp32.py, which "
    "DeepSpeed writes next to them, and pass the file that it writes"
)
ADAPTER_ADVICE = (
    "Merge the adapter into its base model first: with peft, save the state_dict of "
    "model.merge_and_unload()"
)
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def check_complete(name: str, checkpoint: RawCheckpoint) -> None:
    """Check that the tensors are those of a whole model.

    Raises:
        WeightsError: If most tensors are empty, or if some belong to an adapter.
    """
    tensors = checkpoint.tensors
    adapters = [key for key in tensors if ADAPTER.search(key)]
    if adapters:
        msg = (
            f"weights {name}: {len(adapters)} of {len(tensors)} tensors belong to an "
            f"adapter (LoRA) that is not merged, the first {adapters[0]!r}. "
            f"{ADAPTER_ADVICE}."
        )
        raise WeightsError(msg)
    empty = [key for key, tensor in tensors.items() if not tensor.numel()]
    if 2 * len(empty) > len(tensors):
        msg = (
            f"weights {name}: {len(empty)} of {len(tensors)} tensors are empty, the "
            f"first {empty[0]!r}. {ZERO_ADVICE}."
        )
        raise WeightsError(msg)


def partial_advice(paths: Iterable[Path]) -> str:
    """Return advice on files of a part of a model, an empty text for other files."""
    names = {path.name for path in paths}
    if any(ZERO_FILE.fullmatch(name) for name in names):
        return ZERO_ADVICE
    return ADAPTER_ADVICE if names.intersection(ADAPTER_FILES) else ""
