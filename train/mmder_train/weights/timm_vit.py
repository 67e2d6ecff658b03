"""Inflate image transformers of timm: patches of an image become tubelets of a clip.

The weight of a patch is repeated over the frames of a tubelet and divided by their
number, so that a clip of identical frames has the same embedding as the image
(Carreira and Zisserman, 2017, section 2.1). The positions of an image do not fit a
clip. The fixed positions of VideoMAE replace them.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmder_store.errors import WeightsError
from mmder_train.models.videomae import TUBELET
from mmder_train.weights import hub, readers
from mmder_train.weights.hf_config import read_image_norm
from mmder_train.weights.types import RawCheckpoint, SourceInfo

PATCH = "patch_embed.proj.weight"


def read(spec: str) -> RawCheckpoint:
    """Read ``NAME`` from the hub, or ``NAME@FILE`` from a local file.

    Raises:
        WeightsError: If timm has no such transformer, or if the file cannot be read.
    """
    name, _, file = spec.partition("@")
    model = _build_meta_model(name)
    config = model.pretrained_cfg
    path = Path(file) if file else _fetch(name, config)
    checkpoint = readers.read_checkpoint(path)
    tensors = {
        key: inflate(tensor) if key.endswith(PATCH) else tensor
        for key, tensor in checkpoint.tensors.items()
    }
    image_norm, unnamed = read_image_norm(config["mean"], config["std"])
    return RawCheckpoint(
        tensors=tensors,
        paths=checkpoint.paths,
        format="timm image ViT",
        source_info=SourceInfo(
            heads=model.blocks[0].attn.num_heads,
            norm_eps=model.blocks[0].norm1.eps,
            image_norm=image_norm,
            unnamed_image_norm=unnamed,
        ),
        dropped=checkpoint.dropped,
    )


def inflate(patch: Tensor) -> Tensor:
    """Return the weight of a tubelet embedding for that of a patch embedding."""
    frames = TUBELET[0]
    return patch.unsqueeze(2).repeat(1, 1, frames, 1, 1) / frames


def _build_meta_model(name: str) -> Any:  # noqa: ANN401
    """Build a timm model without values.

    It shows the number of heads, the LayerNorm epsilon and the image normalization.
    """
    import timm
    from timm.models.vision_transformer import Block, VisionTransformer

    if not timm.is_model(name.split(".")[0]):
        msg = f"weights timm:{name}: timm has no such model; see timm.list_models"
        raise WeightsError(msg)
    try:
        with torch.device("meta"):
            model = timm.create_model(name, pretrained=False)
    except (RuntimeError, NotImplementedError) as error:
        msg = f"weights timm:{name}: timm cannot build it ({error})"
        raise WeightsError(msg) from error
    is_plain = isinstance(model, VisionTransformer) and all(
        type(block) is Block and str(block.mlp.act) == str(torch.nn.GELU())
        for block in model.blocks
    )
    if not is_plain:
        msg = (
            f"weights timm:{name}: a {type(model).__name__} with another architecture "
            "than VideoMAE; expected a plain VisionTransformer such as "
            "vit_base_patch16_224"
        )
        raise WeightsError(msg)
    return model


def _fetch(name: str, config: dict[str, Any]) -> Path:
    repository = config.get("hf_hub_id")
    if not repository:
        msg = f"weights timm:{name}: no published weights. Pass timm:{name}@FILE."
        raise WeightsError(msg)
    try:
        return hub.fetch(f"{repository}/model.safetensors")
    except WeightsError as error:
        msg = (
            f"weights timm:{name}: cannot be downloaded. Download model.safetensors "
            f"of {repository} on another machine, and pass --weights "
            f"timm:{name}@FILE."
        )
        raise WeightsError(msg) from error
