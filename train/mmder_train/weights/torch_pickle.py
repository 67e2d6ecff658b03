"""Files of PyTorch, read without ever running code from them."""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmder_store.errors import WeightsError
from mmder_train.weights.types import RawCheckpoint, SourceInfo

UNDER = ("model", "module", "state_dict", "model_state_dict")
"""Where training programs put a model beside its optimiser: VideoMAE and MAE-DFER
``model``, DeepSpeed and VideoMAE V2 ``module``, MMAction2 and Lightning
``state_dict``."""


def read(path: Path) -> RawCheckpoint:
    """Read tensors, numbers, strings and nothing else.

    Raises:
        WeightsError: If the file is damaged, or holds what could run code.
    """
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        _refuse_hidden_size(path)
    try:
        # The official files also hold their options, an argparse.Namespace. It is a
        # bag of attributes: to make one runs no code that its content chooses.
        with (
            torch.serialization.safe_globals([argparse.Namespace]),
            warnings.catch_warnings(action="ignore"),
        ):
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:
        raise _refusal(path, error) from error
    state, under = _model(path, found)
    tensors, left_out = {}, {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            tensors[str(name)] = _honest(path, str(name), value.detach())
        else:
            left_out[str(name)] = f"a {type(value).__name__}, no tensor"
    if under:
        for name in (key for key in found if key != under):
            left_out[str(name)] = f"beside the model, which lies under {under!r}"
    return RawCheckpoint(
        tensors=tensors, paths=(path,), facts=_facts(found), dropped=left_out
    )


def _refuse_hidden_size(path: Path) -> None:
    """Refuse a zip file whose content is larger than the file: torch packs nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise _refusal(path, error) from error
    claimed = sum(entry.file_size for entry in entries)
    if claimed > path.stat().st_size:
        msg = (
            f"weights {path}: a zip file of {path.stat().st_size} bytes that claims "
            f"{claimed}; torch.save packs nothing. Get the file from its source again."
        )
        raise WeightsError(msg)


def _refusal(path: Path, error: Exception) -> WeightsError:
    # torch wraps its reason in a page of advice on how to load the file all the same.
    reason = str(error.__context__ or error).strip()
    first = reason.split("\n")[0][:120]
    if code := re.search(r"GLOBAL (\S+)", f"{reason} {error}"):
        kind = f"a pickle that asks for {code[1]}, which could run code; not loaded"
    elif isinstance(error, pickle.UnpicklingError) and "truncated" not in reason:
        kind = f"no plain file of torch.save ({first}); not loaded"
    else:
        kind = f"damaged or truncated ({first})"
        return WeightsError(f"weights {path}: {kind}. Get it from its source again.")
    return WeightsError(
        f"weights {path}: {kind}. If you trust its source, load it in a Python of your "
        "own and keep its tensors alone: torch.save(state_dict, NEW)"
    )


def _model(path: Path, found: object) -> tuple[Mapping[Any, Any], str]:
    """Give the model's tensors, and under which key they lay (empty for none)."""
    if isinstance(found, Mapping):
        if any(isinstance(value, Tensor) for value in found.values()):
            return found, ""
        for key in UNDER:
            inner = found.get(key)
            if isinstance(inner, Mapping) and any(
                isinstance(value, Tensor) for value in inner.values()
            ):
                return inner, key
        held = "a dict of " + (", ".join(map(repr, list(found)[:6])) or "nothing")
    else:
        held = f"a {type(found).__name__}"
    msg = (
        f"weights {path}: {held} inside; expected tensors by name, bare or under "
        f"{', '.join(UNDER)}"
    )
    raise WeightsError(msg)


def _honest(path: Path, name: str, tensor: Tensor) -> Tensor:
    """Refuse a tensor that claims more numbers than the file holds."""
    claimed = tensor.numel() * tensor.element_size()
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    held = tensor.untyped_storage().nbytes() if plain else 0
    if claimed > held:
        msg = (
            f"weights {path}: tensor {name!r} claims {tuple(tensor.shape)}, {claimed} "
            f"bytes, and the file holds {held} of it. Get it from its source again."
        )
        raise WeightsError(msg)
    return tensor


def _facts(found: object) -> SourceInfo:
    """Read what the official training program wrote of its options."""
    options = found.get("args") if isinstance(found, Mapping) else None
    said = vars(options) if isinstance(options, argparse.Namespace) else {}

    def number(name: str) -> int | None:
        value = said.get(name)
        return value if isinstance(value, int) else None

    return SourceInfo(side_px=number("input_size"), frames=number("num_frames"))
