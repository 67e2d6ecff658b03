"""Names and configuration of a classifier in Hugging Face transformers.

The classes are `VideoMAEForVideoClassification` and `VideoMAEConfig`. Pure functions,
without file access.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmder_store.errors import SettingsError
from mmder_train.fusion.rendering import ImageNorm
from mmder_train.models import videomae

RENAMES = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.(\d+)\.", r"encoder.layer.\1."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.", ".attention.attention."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
"""Patterns of official VideoMAE names, and their replacement in transformers."""
HEAD_NAMES = {
    "fc_norm.weight": "fc_norm.weight",
    "fc_norm.bias": "fc_norm.bias",
    "head.weight": "classifier.weight",
    "head.bias": "classifier.bias",
}
"""Names of the head's tensors, official and in transformers."""
NORM_EPSILON = 1e-5
"""Epsilon of the LayerNorm before the head in transformers, where it is fixed."""


def check_exportable(encoder: nn.Module, *, name: str) -> videomae.Encoder:
    """Return the encoder if transformers has its architecture.

    Args:
        encoder: Encoder of the run.
        name: Its name, for the message.

    Raises:
        SettingsError: If the VideoMAE of transformers computes something else.
    """
    if not isinstance(encoder, videomae.Encoder):
        msg = (
            f"--to huggingface: transformers has no {name}; expected a run with one "
            f"of the encoders {', '.join(videomae.SIZES)}. Use --to onnx."
        )
        raise SettingsError(msg)
    if encoder.positions is None:
        msg = (
            "--to huggingface: the run has --no-pos-embed, and the VideoMAE of "
            "transformers always adds positions. Use --to onnx."
        )
        raise SettingsError(msg)
    return encoder


def to_transformers_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an encoder and its head, and split the attention weights.

    The names of the biases are those of transformers 4, which version 5 reads too.

    Args:
        tensors: Tensors by their official VideoMAE name.

    Returns:
        Tensors by their name in `VideoMAEForVideoClassification`.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in HEAD_NAMES:
            renamed[HEAD_NAMES[name]] = tensor
            continue
        new = name
        for pattern, replacement in RENAMES:
            new = re.sub(pattern, replacement, new)
        new = f"videomae.{new}"
        if name.endswith(".attn.qkv.weight"):
            for part, rows in zip(
                ("query", "key", "value"), tensor.chunk(3), strict=True
            ):
                renamed[new.replace(".qkv.", f".{part}.")] = rows.contiguous()
        else:
            renamed[new] = tensor
    return renamed


def model_config(
    encoder: videomae.Encoder, *, classes: Sequence[str]
) -> dict[str, Any]:
    """Return the contents of ``config.json``.

    Args:
        encoder: The encoder.
        classes: Names of the classes, in the order of the logits.
    """
    block: Any = encoder.blocks[0]
    return {
        "architectures": ["VideoMAEForVideoClassification"],
        "model_type": "videomae",
        "image_size": encoder.side_px,
        "patch_size": encoder.patch_embed.proj.kernel_size[1],
        "num_channels": 3,
        "num_frames": videomae.FRAMES,
        "tubelet_size": videomae.TUBELET[0],
        "hidden_size": encoder.dim,
        "num_hidden_layers": len(encoder.blocks),
        "num_attention_heads": block.attn.num_heads,
        "intermediate_size": block.mlp.fc1.out_features,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": block.norm1.eps,
        "qkv_bias": True,
        "use_mean_pooling": True,
        "id2label": {str(i): name for i, name in enumerate(classes)},
        "label2id": {name: i for i, name in enumerate(classes)},
    }


def preprocessor_config(norm: ImageNorm) -> dict[str, Any]:
    """Return the contents of ``preprocessor_config.json``.

    It describes only the normalization. The 16 images must be the fused ones, with
    values from 0 to 255 and 224 pixels a side.

    Args:
        norm: Mean and standard deviation of all images.
    """
    return {
        "image_processor_type": "VideoMAEImageProcessor",
        "do_resize": False,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(norm.mean_rgb),
        "image_std": list(norm.std_rgb),
        "size": {"shortest_edge": videomae.SIDE_PX},
        "crop_size": {"height": videomae.SIDE_PX, "width": videomae.SIDE_PX},
    }
