"""Read files of PyTorch without running code from them."""

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
from mmder_train.weights.completeness import partial_advice
from mmder_train.weights.types import RawCheckpoint, SourceInfo

MODEL_KEYS = ("model", "module", "state_dict", "model_state_dict")
"""Keys of the model in checkpoints of training programs.

VideoMAE and MAE-DFER use ``model``, DeepSpeed and VideoMAE V2 ``module``, MMAction2 and
Lightning ``state_dict``.
"""


def read(path: Path) -> RawCheckpoint:
    """Read a checkpoint of tensors, numbers and strings.

    Raises:
        WeightsError: If the file is damaged, or contains anything that could run code.
    """
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    if is_zip:
        _check_zip_size(path)
    try:
        # The official files also contain their options as an argparse.Namespace. It
        # only holds attributes, and building one runs no code from the file.
        with (
            torch.serialization.safe_globals([argparse.Namespace]),
            warnings.catch_warnings(action="ignore"),
        ):
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=is_zip
            )
    except Exception as error:
        raise _load_error(path, error) from error
    state, model_key = _find_model(path, content)
    tensors, dropped = {}, {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            tensors[str(name)] = _check_tensor_size(path, str(name), value.detach())
        else:
            dropped[str(name)] = f"of type {type(value).__name__}, not a tensor"
    if model_key:
        for name in (key for key in content if key != model_key):
            dropped[str(name)] = f"outside the model, which is under {model_key!r}"
    return RawCheckpoint(
        tensors=tensors,
        paths=(path,),
        source_info=_source_info(content),
        dropped=dropped,
    )


def _check_zip_size(path: Path) -> None:
    """Check that the contents of a zip file are not larger than the file.

    torch.save does not compress.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise _load_error(path, error) from error
    claimed = sum(entry.file_size for entry in entries)
    if claimed > path.stat().st_size:
        msg = (
            f"weights {path}: a zip file of {path.stat().st_size} bytes that claims "
            f"{claimed} bytes; torch.save does not compress. Download it again from "
            "its source."
        )
        raise WeightsError(msg)


def _load_error(path: Path, error: Exception) -> WeightsError:
    # torch surrounds the reason with advice on loading the file anyway.
    reason = str(error.__context__ or error).strip()
    first = reason.split("\n")[0][:120]
    if code := re.search(r"GLOBAL (\S+)", f"{reason} {error}"):
        problem = f"a pickle that requests {code[1]}, which could run code; not loaded"
    elif isinstance(error, pickle.UnpicklingError) and "truncated" not in reason:
        problem = f"not a plain torch.save file ({first}); not loaded"
    else:
        return WeightsError(
            f"weights {path}: damaged or truncated ({first}). Download it again from "
            "its source."
        )
    return WeightsError(
        f"weights {path}: {problem}. If you trust its source, load it in your own "
        "Python and save only its tensors: torch.save(state_dict, NEW)"
    )


def _find_model(path: Path, content: object) -> tuple[Mapping[Any, Any], str]:
    """Return the tensors of the model and their key in the file, "" for none."""
    if isinstance(content, Mapping):
        if any(isinstance(value, Tensor) for value in content.values()):
            return content, ""
        for key in MODEL_KEYS:
            inner = content.get(key)
            if isinstance(inner, Mapping) and any(
                isinstance(value, Tensor) for value in inner.values()
            ):
                return inner, key
        description = (
            f"a dict of {', '.join(map(repr, list(content)[:6])) or 'nothing'}"
        )
    else:
        description = f"a {type(content).__name__}"
    advice = partial_advice([path])
    msg = (
        f"weights {path}: contains {description}; expected tensors by name, at the top "
        f"level or under {', '.join(MODEL_KEYS)}" + (f". {advice}." if advice else "")
    )
    raise WeightsError(msg)


def _check_tensor_size(path: Path, name: str, tensor: Tensor) -> Tensor:
    """Return the tensor, after checking that the file contains all of its values."""
    claimed = tensor.numel() * tensor.element_size()
    is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    stored = tensor.untyped_storage().nbytes() if is_plain else 0
    if claimed > stored:
        msg = (
            f"weights {path}: tensor {name!r} claims {tuple(tensor.shape)}, {claimed} "
            f"bytes, but the file contains {stored} of them. Download it again from "
            "its source."
        )
        raise WeightsError(msg)
    return tensor


def _source_info(content: object) -> SourceInfo:
    """Read the options that the official training program stored."""
    args = content.get("args") if isinstance(content, Mapping) else None
    options = vars(args) if isinstance(args, argparse.Namespace) else {}

    def number(name: str) -> int | None:
        value = options.get(name)
        return value if isinstance(value, int) else None

    return SourceInfo(side_px=number("input_size"), frames=number("num_frames"))
