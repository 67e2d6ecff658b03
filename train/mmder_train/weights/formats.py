"""Table of weight formats: how each source names the official VideoMAE tensors.

A format is recognized by the name of its patch embedding. The text before that name
is the prefix of the encoder (``module.``, ``_orig_mod.``, ``encoder.``,
``backbone.``). To add a format, add one row. The names were read from the source code
cited with each row. For Hugging Face, timm and mmder itself they were also checked
with the library. No published weights file was available.
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
    """One naming scheme for the tensors of an encoder."""

    name: str
    """Name of the format, shown to the user."""
    patch: str = "patch_embed.proj.weight"
    """End of the name of the patch embedding."""
    is_certain: bool = False
    """True if the type of file determines the format, not the patch embedding."""
    renames: tuple[tuple[str, str], ...] = ()
    """Regular expressions and replacements, applied after removing the prefix."""
    dropped: tuple[tuple[str, str], ...]
    """Regular expressions for the start of names outside the encoder, with the reason.

    ``{}`` in a reason is the number of classes of a head.
    """
    norm_eps: float = 1e-6
    """LayerNorm epsilon, if the file does not state it."""
    image_norm: str = "imagenet"
    """Image normalization, if the file does not state it."""
    sibling_config: Callable[[Path], SourceInfo] | None = None
    """Read the configuration files in the folder of the weights file."""


LAST_NORM = "norm of the tokens in pre-training; the head normalizes their mean instead"
HEAD_NORM = "norm before the head; every fold trains its own"
HEAD = "head of {} classes; every fold trains its own"
_OFFICIAL = (
    (r"decoder\.|mask_token$|encoder_to_decoder\.", DECODER),
    (r"(?:encoder\.)?norm\.", LAST_NORM),
    (r"fc_norm\.", HEAD_NORM),
    (r"head\.", HEAD),
)

FORMATS = (
    # Written by mmder itself, see native.py.
    Format(name="mmder", is_certain=True, dropped=_OFFICIAL),
    # See keras.py.
    Format(name="Keras VideoMAE", is_certain=True, dropped=_OFFICIAL, norm_eps=1e-5),
    # See timm_vit.py. Epsilon and image statistics come from the model in timm.
    Format(
        name="timm image ViT",
        is_certain=True,
        dropped=(
            (r"(?:cls|reg|dist)_token$", "a token without a position in the image"),
            (
                r"pos_embed$",
                "positions of one image; those of a clip replace them",
            ),
            (r"norm\.", LAST_NORM),
            (r"fc_norm\.|attn_pool\.", HEAD_NORM),
            (r"head(?:_dist)?\.", HEAD),
        ),
    ),
    # MCG-NJU/VideoMAE modeling_pretrain.py and modeling_finetune.py; the same names in
    # OpenGVLab/VideoMAEv2 (its Hugging Face repositories too) and sunlicai/MAE-DFER.
    Format(name="VideoMAE", dropped=_OFFICIAL),
    # transformers, models/videomae: q_bias and v_bias up to 4.x; query.bias and
    # value.bias as well from 5.x. 1e-12 is its default of layer_norm_eps.
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
    # ControlNet/MARLIN model/encoder.py and model/util.py: torch's default
    # LayerNorm epsilon, and images divided by 255.
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
            (r"data_preprocessor\.", "image statistics"),
            (r"norm\.", LAST_NORM),
            (r"fc_norm\.", HEAD_NORM),
            (r"cls_head\.", HEAD),
        ),
    ),
)
_WRAPPERS = r"(?:(?:module|model|_orig_mod|backbone)\.)*"
_ENCODER_NAME = re.compile(r"(?:^|\.)(?:blocks|layer)\.\d+\.|patch_embed")


def detect_format(name: str, checkpoint: RawCheckpoint) -> tuple[Format, str]:
    """Return the format of a checkpoint and the prefix of its encoder.

    Raises:
        WeightsError: If there is no patch embedding with a known name, or several.
    """
    for fmt in FORMATS:
        if fmt.is_certain != bool(checkpoint.format) or (
            fmt.is_certain and fmt.name != checkpoint.format
        ):
            continue
        matches = [
            key
            for key in checkpoint.tensors
            if key == fmt.patch or key.endswith("." + fmt.patch)
        ]
        if len(matches) > 1:
            msg = (
                f"weights {name}: two encoders, or one under mixed prefixes "
                f"({matches[0]!r} and {matches[1]!r}). Save the state_dict of one "
                "model."
            )
            raise WeightsError(msg)
        if matches:
            return fmt, matches[0].removesuffix(fmt.patch)
    known = ", ".join(sorted({fmt.patch for fmt in FORMATS}))
    first = ", ".join(map(repr, list(checkpoint.tensors)[:3]))
    msg = (
        f"weights {name}: not a video transformer of a known format: "
        f"{len(checkpoint.tensors)} tensors ({first} ...), expected one of them to be "
        f"{known}"
    )
    raise WeightsError(msg)


def to_official_names(
    name: str, checkpoint: RawCheckpoint
) -> tuple[Format, dict[str, Tensor], Mapping[str, str]]:
    """Rename the tensors of a checkpoint to the official names.

    Returns:
        The format, the tensors by their official name, and the reason for each tensor
        that was dropped.

    Raises:
        WeightsError: If the format is unknown, or if names are mixed.
    """
    fmt, prefix = detect_format(name, checkpoint)
    tensors: dict[str, Tensor] = {}
    dropped = dict(checkpoint.dropped)
    for key, tensor in checkpoint.tensors.items():
        has_prefix = key.startswith(prefix)
        official = key.removeprefix(prefix)
        reason = _drop_reason(fmt, official if has_prefix else key, tensor)
        if reason is None and not has_prefix:
            if _ENCODER_NAME.search(key):
                msg = (
                    f"weights {name}: names with the prefix {prefix!r} and without "
                    f"it ({key!r}). Save the state_dict of one model again."
                )
                raise WeightsError(msg)
            reason = f"outside the encoder, which is under {prefix!r}"
        if reason is not None:
            dropped[key] = reason
            continue
        for pattern, replacement in fmt.renames:
            official = re.sub(pattern, replacement, official)
        if official in tensors:
            msg = f"weights {name}: two tensors for {official!r} (second: {key!r})"
            raise WeightsError(msg)
        tensors[official] = tensor
    tensors, dropped_biases = merge_qkv(tensors)
    return fmt, tensors, dropped | dropped_biases


def _drop_reason(fmt: Format, name: str, tensor: Tensor) -> str | None:
    for pattern, reason in fmt.dropped:
        if re.match(_WRAPPERS + f"(?:{pattern})", name):
            return reason.format(len(tensor) if tensor.ndim else 0)
    return None
