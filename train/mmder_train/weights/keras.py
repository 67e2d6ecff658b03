"""Read weights of the TensorFlow port of VideoMAE, as Keras 2 writes them to HDF5.

Each layer of the model is a group. Its attribute ``weight_names`` lists its weights in
order of creation. Keras numbers unnamed layers per session, so a weight is identified
by its type, its shape and the order of its layer. The layout was read from the source
code of the port (innat/VideoMAE) and of Keras 2. No published file was available.
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
"""Weights per block.

Two norms with gamma and beta, four kernels, three biases, and the biases of query and
value.
"""
ENCODER = "TFPretrainVisionTransformerEncoder"
_BLOCK = re.compile(r"TFBlock(\d+)$")
TOP = "top_level_model_weights"
"""Group of weights that belong to no layer: the mask token."""
_DECODER = ("TFPretrainVisionTransformerDecoder", "encoder_to_decoder", TOP)
_SUFFIXES = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}


def read(path: Path) -> RawCheckpoint:
    """Read a fine-tuning or pre-training file under the official names.

    Raises:
        WeightsError: If the file is damaged, or not a VideoMAE of the port.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            layers = [*_read_names(file.attrs, "layer_names")]
            layers += [TOP] if TOP in file else []
            groups = {name: _read_layer(path, file, name) for name in layers}
    except WeightsError:
        raise
    except Exception as error:  # h5py raises many types for damaged files
        reason = str(error).split("\n")[0][:120]
        msg = f"weights {path}: damaged, truncated or not Keras weights ({reason})"
        raise WeightsError(msg) from error
    tensors: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for name, weights in groups.items():
        if block := _BLOCK.match(name):
            tensors |= _rename_block(path, f"blocks.{int(block[1]) - 1}", weights)
        elif name == ENCODER:
            tensors |= _rename_encoder(path, weights)
        elif name == "patch_embed":
            tensors |= _rename_layer("patch_embed.proj", weights)
        elif name in ("fc_norm", "norm", "head"):
            tensors |= _rename_layer(name, weights)
        elif name in _DECODER:
            dropped |= {f"{name}/{inner}": DECODER for inner, _ in weights}
        elif weights:
            msg = f"weights {path}: the port's VideoMAE has no layer {name!r}"
            raise WeightsError(msg)
    return RawCheckpoint(
        tensors=tensors,
        paths=(path,),
        format="Keras VideoMAE",
        dropped=dropped,
    )


def _read_names(attributes: Any, name: str) -> Iterator[str]:  # noqa: ANN401
    """Yield a list of names. Keras splits a long list into numbered attributes."""
    keys = [name] if name in attributes else []
    while not keys or f"{name}{len(keys)}" in attributes:
        keys.append(f"{name}{len(keys)}")
    for key in keys:
        for entry in attributes[key]:
            yield entry.decode() if isinstance(entry, bytes) else str(entry)


def _read_layer(path: Path, file: "h5py.File", layer: str) -> list[Named]:
    return [
        (name, _read_tensor(path, file, f"{layer}/{name}"))
        for name in _read_names(_resolve(path, file, layer).attrs, "weight_names")
    ]


def _resolve(path: Path, file: "h5py.File", name: str) -> Any:  # noqa: ANN401
    """Return a group or an array by its name, without following links."""
    import h5py

    node: Any = file
    for part in name.split("/"):
        if not isinstance(node.get(part, getlink=True), h5py.HardLink):
            msg = f"weights {path}: {name!r} is a link or missing; not read"
            raise WeightsError(msg)
        node = node[part]
    return node


def _read_tensor(path: Path, file: "h5py.File", name: str) -> Tensor:
    """Read one array, after checking that this file contains all of its values."""
    import h5py

    array = _resolve(path, file, name)
    outside = not isinstance(array, h5py.Dataset) or array.is_virtual or array.external
    if outside or array.nbytes > array.id.get_storage_size():
        msg = f"weights {path}: {name!r} claims more than the file contains; not read"
        raise WeightsError(msg)
    if array.dtype.kind != "f":
        msg = f"weights {path}: {name!r} is {array.dtype}, expected floats"
        raise WeightsError(msg)
    return torch.from_numpy(array[()])


def _type_of(name: str) -> str:
    """Return the type of a weight, for example "kernel"."""
    return name.rsplit("/", 1)[-1].split(":")[0]


def _to_torch_layout(tensor: Tensor) -> Tensor:
    """Transpose a kernel: Keras has the outputs last, torch has them first."""
    if tensor.ndim == 5:
        return tensor.permute(4, 3, 0, 1, 2)
    return tensor.T if tensor.ndim == 2 else tensor


def _rename_layer(name: str, weights: Sequence[Named]) -> dict[str, Tensor]:
    """Return the weights of one layer by official name.

    A layer has a kernel and a bias, or gamma and beta.
    """
    return {
        f"{name}.{_SUFFIXES.get(_type_of(inner), inner)}": _to_torch_layout(tensor)
        for inner, tensor in weights
    }


def _rename_block(
    path: Path, block: str, weights: Sequence[Named]
) -> dict[str, Tensor]:
    """Return the weights of one block by official name.

    A bias follows its kernel. The norm of the attention is created before that of the
    MLP.
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
        weight_type = _type_of(inner)
        if bias := re.match(r"[qv]_bias", weight_type):
            name = f"attn.{bias[0]}"
        elif weight_type == "gamma":
            layer = next(norms, "")
            name = f"{layer}.weight" if layer else ""
        elif weight_type == "kernel" and tensor.ndim == 2:
            unit = max(1, min(tensor.shape))
            layer = layers.get((tensor.shape[0] // unit, tensor.shape[1] // unit), "")
            name = f"{layer}.weight" if layer else ""
        else:
            name = f"{layer}.bias" if layer and weight_type in ("bias", "beta") else ""
        if name:
            out[f"{block}.{name}"] = _to_torch_layout(tensor)
    if len(out) != BLOCK_WEIGHTS or len(weights) != BLOCK_WEIGHTS:
        msg = (
            f"weights {path}: {block} has {len(weights)} weights "
            f"({', '.join(_type_of(inner) for inner, _ in weights)}), expected "
            f"{BLOCK_WEIGHTS}: another architecture"
        )
        raise WeightsError(msg)
    return out


def _rename_encoder(path: Path, weights: Sequence[Named]) -> dict[str, Tensor]:
    """Return the weights of a pre-training encoder, listed in order of use."""
    patch, norm = weights[:2], weights[-2:]
    inner = weights[2:-2]
    out = _rename_layer("patch_embed.proj", patch) | _rename_layer("norm", norm)
    for start in range(0, len(inner), BLOCK_WEIGHTS):
        block = f"blocks.{start // BLOCK_WEIGHTS}"
        out |= _rename_block(path, block, inner[start : start + BLOCK_WEIGHTS])
    return out
