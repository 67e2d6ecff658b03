"""Weights of the TensorFlow port of VideoMAE, as Keras 2 writes them to HDF5.

Each layer of the model is a group, whose attribute ``weight_names`` lists its weights
in the order of creation. Layers without names of their own are numbered through a
whole session, so a weight is known by its kind, its shape and its layer's order. The
layout was read in the sources of the port (innat/VideoMAE) and of Keras 2; no
published file was at hand.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmder_store.errors import WeightsError
from mmder_train.weights.types import DECODER, RawCheckpoint

if TYPE_CHECKING:
    import h5py

Named = tuple[str, Tensor]
BLOCK_WEIGHTS = 13
"""Two norms, four layers with three biases between them, biases of query and value."""
ENCODER = "TFPretrainVisionTransformerEncoder"
_BLOCK = re.compile(r"TFBlock(\d+)$")
TOP = "top_level_model_weights"
"""Group of what belongs to no layer: the mask token."""
_DECODER = ("TFPretrainVisionTransformerDecoder", "encoder_to_decoder", TOP)


def read(path: Path) -> RawCheckpoint:
    """Read a fine-tuning or a pre-training file under the official names.

    Raises:
        WeightsError: If it is damaged, or no such model.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            layers = [*_listed(file.attrs, "layer_names")]
            layers += [TOP] if TOP in file else []
            groups = {name: _weights(path, file, name) for name in layers}
    except WeightsError:
        raise
    except Exception as error:  # of a damaged file, h5py raises what it comes upon
        first = str(error).split("\n")[0][:120]
        msg = f"weights {path}: damaged, truncated or no weights of Keras ({first})"
        raise WeightsError(msg) from error
    tensors: dict[str, Tensor] = {}
    left_out: dict[str, str] = {}
    for name, weights in groups.items():
        if block := _BLOCK.match(name):
            tensors |= _block(path, f"blocks.{int(block[1]) - 1}", weights)
        elif name == ENCODER:
            tensors |= _encoder(path, weights)
        elif name == "patch_embed":
            tensors |= _layer("patch_embed.proj", weights)
        elif name in ("fc_norm", "norm", "head"):
            tensors |= _layer(name, weights)
        elif name in _DECODER:
            left_out |= {f"{name}/{inner}": DECODER for inner, _ in weights}
        elif weights:
            msg = f"weights {path}: layer {name!r} is none of the port's VideoMAE"
            raise WeightsError(msg)
    return RawCheckpoint(
        tensors=tensors,
        paths=(path,),
        format="Keras VideoMAE",
        dropped=left_out,
    )


def _listed(attributes: Any, name: str) -> Iterator[str]:  # noqa: ANN401
    """Give a list of names; Keras cuts one that is too long into numbered pieces."""
    pieces = [name] if name in attributes else []
    while not pieces or f"{name}{len(pieces)}" in attributes:
        pieces.append(f"{name}{len(pieces)}")
    for piece in pieces:
        for one in attributes[piece]:
            yield one.decode() if isinstance(one, bytes) else str(one)


def _weights(path: Path, file: "h5py.File", layer: str) -> list[Named]:
    return [
        (name, _tensor(path, file, f"{layer}/{name}"))
        for name in _listed(_found(path, file, layer).attrs, "weight_names")
    ]


def _found(path: Path, file: "h5py.File", name: str) -> Any:  # noqa: ANN401
    """Find a group or an array, and follow no link out of its place."""
    import h5py

    place: Any = file
    for part in name.split("/"):
        if not isinstance(place.get(part, getlink=True), h5py.HardLink):
            msg = f"weights {path}: {name!r} lies in another place, not read"
            raise WeightsError(msg)
        place = place[part]
    return place


def _tensor(path: Path, file: "h5py.File", name: str) -> Tensor:
    """Read one array that lies in this very file, and as large as it claims."""
    import h5py

    array = _found(path, file, name)
    outside = not isinstance(array, h5py.Dataset) or array.is_virtual or array.external
    if outside or array.nbytes > array.id.get_storage_size():
        msg = f"weights {path}: {name!r} claims more than the file holds, not read"
        raise WeightsError(msg)
    if array.dtype.kind != "f":
        msg = f"weights {path}: {name!r} is {array.dtype}, expected floats"
        raise WeightsError(msg)
    return torch.from_numpy(array[()])


def _kind(name: str) -> str:
    return name.rsplit("/", 1)[-1].split(":")[0]


def _turned(tensor: Tensor) -> Tensor:
    """Give inputs last, as torch has them: Keras has outputs last."""
    if tensor.ndim == 5:
        return tensor.permute(4, 3, 0, 1, 2)
    return tensor.T if tensor.ndim == 2 else tensor


def _layer(name: str, weights: Sequence[Named]) -> dict[str, Tensor]:
    """Name the weights of one layer: kernel and bias, or gamma and beta."""
    ends = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}
    return {
        f"{name}.{ends.get(_kind(inner), inner)}": _turned(tensor)
        for inner, tensor in weights
    }


def _block(path: Path, block: str, weights: Sequence[Named]) -> dict[str, Tensor]:
    """Name the weights of one block.

    Biases stand right after their kernel. The norm of the attention is made before
    the norm of the two layers.
    """
    out: dict[str, Tensor] = {}
    layers = {
        (1, 3): "attn.qkv",
        (1, 1): "attn.proj",
        (1, 4): "mlp.fc1",
        (4, 1): "mlp.fc2",
    }
    norms = iter(("norm1", "norm2"))
    layer = ""
    for inner, tensor in weights:
        kind = _kind(inner)
        if bias := re.match(r"[qv]_bias", kind):
            name = f"attn.{bias[0]}"
        elif kind == "gamma":
            layer = next(norms, "")
            name = f"{layer}.weight" if layer else ""
        elif kind == "kernel" and tensor.ndim == 2:
            least = max(1, min(tensor.shape))
            layer = layers.get((tensor.shape[0] // least, tensor.shape[1] // least), "")
            name = f"{layer}.weight" if layer else ""
        else:
            name = f"{layer}.bias" if layer and kind in ("bias", "beta") else ""
        if name:
            out[f"{block}.{name}"] = _turned(tensor)
    if len(out) != BLOCK_WEIGHTS or len(weights) != BLOCK_WEIGHTS:
        msg = (
            f"weights {path}: {block} has {len(weights)} weights "
            f"({', '.join(_kind(inner) for inner, _ in weights)}), expected "
            f"{BLOCK_WEIGHTS}: another architecture"
        )
        raise WeightsError(msg)
    return out


def _encoder(path: Path, weights: Sequence[Named]) -> dict[str, Tensor]:
    """Name the weights of a pre-training encoder, one list in the order of use."""
    first, last = weights[:2], weights[-2:]
    inner = weights[2:-2]
    out = _layer("patch_embed.proj", first) | _layer("norm", last)
    for start in range(0, len(inner), BLOCK_WEIGHTS):
        block = f"blocks.{start // BLOCK_WEIGHTS}"
        out |= _block(path, block, inner[start : start + BLOCK_WEIGHTS])
    return out
