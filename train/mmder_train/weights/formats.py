"""The table of formats: how a source names the tensors of the official VideoMAE.

A format is known by the name of its patch embedding; what stands before that name is
the prefix of the encoder (``module.``, ``_orig_mod.``, ``encoder.``, ``backbone.``).
A new format is one row. Names were read in the sources given with each row and, for
Hugging Face, timm and the project itself, checked with the library; no published file
was at hand.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mmder_store.errors import WeightsError
from mmder_train.weights import hf_config
from mmder_train.weights.qkv import merge_qkv
from mmder_train.weights.types import DECODER, RawCheckpoint, SourceInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One way to name tensors."""

    name: str
    patch: str = "patch_embed.proj.weight"
    """End of the name of the patch embedding."""
    is_certain: bool = False
    """Whether the kind of file tells the format, and not the patch embedding."""
    renames: tuple[tuple[str, str], ...] = ()
    """What becomes what, once the prefix is gone."""
    dropped: tuple[tuple[str, str], ...]
    """Beginnings of names that belong to no encoder, and why; {} is a head's size."""
    norm_eps: float = 1e-6
    """Of its LayerNorms, where the file does not say."""
    image_norm: str = "imagenet"
    """Of its pictures, where the file does not say."""
    sibling_config: Callable[[Path], SourceInfo] | None = None
    """Reads what lies in the folder beside the file."""


LAST_NORM = "norm of the tokens in pre-training; the head norms their mean instead"
HEAD_NORM = "norm before the head; every fold trains its own"
HEAD = "head of {} classes; every fold trains its own"
_OFFICIAL = (
    (r"decoder\.|mask_token$|encoder_to_decoder\.", DECODER),
    (r"(?:encoder\.)?norm\.", LAST_NORM),
    (r"fc_norm\.", HEAD_NORM),
    (r"head\.", HEAD),
)

FORMATS = (
    # The project's own, see own.py.
    Format(name="mmder", is_certain=True, dropped=_OFFICIAL),
    # See keras.py.
    Format(name="Keras VideoMAE", is_certain=True, dropped=_OFFICIAL, norm_eps=1e-5),
    # See images.py; timm's own description of the model says epsilon and statistics.
    Format(
        name="timm image ViT",
        is_certain=True,
        dropped=(
            (r"(?:cls|reg|dist)_token$", "a token of no place in the picture"),
            (r"pos_embed$", "positions of one picture; fixed ones of a clip instead"),
            (r"norm\.", LAST_NORM),
            (r"fc_norm\.|attn_pool\.", HEAD_NORM),
            (r"head(?:_dist)?\.", HEAD),
        ),
    ),
    # MCG-NJU/VideoMAE modeling_pretrain.py and modeling_finetune.py; the same names in
    # OpenGVLab/VideoMAEv2 (its Hugging Face repositories too) and sunlicai/MAE-DFER.
    Format(name="VideoMAE", dropped=_OFFICIAL),
    # transformers, models/videomae: to 4.x q_bias and v_bias, from 5.x also query.bias
    # and value.bias. 1e-12 is its default of layer_norm_eps.
    Format(
        name="Hugging Face VideoMAE",
        patch="embeddings.patch_embeddings.projection.weight",
        renames=(
            (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
            (r"^embeddings\.position_embeddings$", "pos_embed"),
            (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
            (r"\.layernorm_before\.", ".norm1."),
            (r"\.layernorm_after\.", ".norm2."),
            (r"\.attention\.attention\.([qv])_bias$", r".attn.\1_bias"),
            (
                r"\.attention\.attention\.(q|k|v)(?:uery|ey|alue)\.(weight|bias)$",
                r".attn.\1.\2",
            ),
            (r"\.attention\.output\.dense\.", ".attn.proj."),
            (r"\.intermediate\.dense\.", ".mlp.fc1."),
            (r"\.output\.dense\.", ".mlp.fc2."),
        ),
        dropped=(
            (r"decoder\.|mask_token$|encoder_to_decoder\.", DECODER),
            (r"layernorm\.", LAST_NORM),
            (r"fc_norm\.", HEAD_NORM),
            (r"classifier\.", HEAD),
        ),
        norm_eps=1e-12,
        sibling_config=hf_config.read_config,
    ),
    # ControlNet/MARLIN model/encoder.py and model/util.py: torch's LayerNorm as it is,
    # and pictures divided by 255.
    Format(
        name="MARLIN",
        patch="patch_embedding.projection.weight",
        renames=(
            (r"^patch_embedding\.projection\.", "patch_embed.proj."),
            (r"^pos_embedding\.emb$", "pos_embed"),
            (r"\.mlp\.layers\.0\.linear\.", ".mlp.fc1."),
            (r"\.mlp\.layers\.1\.linear\.", ".mlp.fc2."),
        ),
        dropped=(
            (r"(?:marlin\.)?(?:decoder|enc_dec_proj)\.", DECODER),
            (r"norm\.", "norm of the mean; every fold trains its own"),
        ),
        norm_eps=1e-5,
        image_norm="none",
    ),
    # open-mmlab/mmaction2 backbones/vit_mae.py with PatchEmbed and FFN of mmcv.
    Format(
        name="MMAction2",
        patch="patch_embed.projection.weight",
        renames=(
            (r"^patch_embed\.projection\.", "patch_embed.proj."),
            (r"\.mlp\.layers\.0\.0\.", ".mlp.fc1."),
            (r"\.mlp\.layers\.1\.", ".mlp.fc2."),
        ),
        dropped=(
            (r"data_preprocessor\.", "statistics of its pictures"),
            (r"norm\.", LAST_NORM),
            (r"fc_norm\.", HEAD_NORM),
            (r"cls_head\.", HEAD),
        ),
    ),
)
_WRAPPERS = r"(?:(?:module|model|_orig_mod|backbone)\.)*"
_OF_ENCODER = re.compile(r"(?:^|\.)(?:blocks|layer)\.\d+\.|patch_embed")


def detect_format(where: str, held: RawCheckpoint) -> tuple[Format, str]:
    """Give the format and the encoder's prefix.

    Raises:
        WeightsError: If there is no patch embedding by a known name, or more than one.
    """
    for form in FORMATS:
        if form.is_certain != bool(held.format) or (
            form.is_certain and form.name != held.format
        ):
            continue
        names = [
            name
            for name in held.tensors
            if name == form.patch or name.endswith("." + form.patch)
        ]
        if len(names) > 1:
            msg = (
                f"weights {where}: two encoders, or one under mixed prefixes "
                f"({names[0]!r} and {names[1]!r}). Save the state_dict of one model."
            )
            raise WeightsError(msg)
        if names:
            return form, names[0].removesuffix(form.patch)
    known = ", ".join(sorted({form.patch for form in FORMATS}))
    msg = (
        f"weights {where}: no video transformer of a known kind: {len(held.tensors)} "
        f"tensors ({', '.join(map(repr, list(held.tensors)[:3]))} ...), none of them "
        f"{known}"
    )
    raise WeightsError(msg)


def to_official_names(
    where: str, held: RawCheckpoint
) -> tuple[Format, dict[str, Tensor], Mapping[str, str]]:
    """Give the format, tensors under the official names, and why what was left out.

    Raises:
        WeightsError: If the format is unknown, or names are mixed.
    """
    form, prefix = detect_format(where, held)
    tensors: dict[str, Tensor] = {}
    left_out = dict(held.dropped)
    for full, tensor in held.tensors.items():
        inside = full.startswith(prefix)
        name = full.removeprefix(prefix)
        why = _why(form, name if inside else full, tensor)
        if why is None and not inside:
            if _OF_ENCODER.search(full):
                msg = (
                    f"weights {where}: names with the prefix {prefix!r} and without "
                    f"it ({full!r}). Save the state_dict of one model again."
                )
                raise WeightsError(msg)
            why = f"beside the encoder, which lies under {prefix!r}"
        if why is not None:
            left_out[full] = why
            continue
        for old, new in form.renames:
            name = re.sub(old, new, name)
        if name in tensors:
            msg = f"weights {where}: two tensors that are both {name!r} ({full!r})"
            raise WeightsError(msg)
        tensors[name] = tensor
    tensors, more = merge_qkv(tensors)
    return form, tensors, left_out | more


def _why(form: Format, name: str, tensor: Tensor) -> str | None:
    for start, why in form.dropped:
        if re.match(_WRAPPERS + f"(?:{start})", name):
            return why.format(len(tensor) if tensor.ndim else 0)
    return None
