"""Image transformers of timm, inflated: one picture's patches become tubelets.

The weight of a patch is repeated over the frames of a tubelet and divided by their
number, so that a clip that stands still embeds as its picture does (Carreira and
Zisserman, 2017, section 2.1). Positions of one picture are no positions of a clip:
the fixed table of VideoMAE takes their place.
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
    """Read ``NAME`` from the hub, or ``NAME@FILE`` from a file that lies here.

    Raises:
        WeightsError: If timm has no such transformer, or the file cannot be had.
    """
    name, _, file = spec.partition("@")
    model = _described(name)
    path = Path(file) if file else _fetched(name, model.pretrained_cfg)
    held = readers.read_checkpoint(path)
    tensors = {
        name: inflate(tensor) if name.endswith(PATCH) else tensor
        for name, tensor in held.tensors.items()
    }
    described = model.pretrained_cfg
    pictures, other = read_image_norm(described["mean"], described["std"])
    return RawCheckpoint(
        tensors=tensors,
        paths=held.paths,
        format="timm image ViT",
        facts=SourceInfo(
            heads=model.blocks[0].attn.num_heads,
            norm_eps=model.blocks[0].norm1.eps,
            image_norm=pictures,
            unnamed_image_norm=other,
        ),
        dropped=held.dropped,
    )


def inflate(patch: Tensor) -> Tensor:
    """Give the weight of a tubelet from that of a patch."""
    frames = TUBELET[0]
    return patch.unsqueeze(2).repeat(1, 1, frames, 1, 1) / frames


def _described(name: str) -> Any:  # noqa: ANN401
    """Make the model without its numbers, to know its heads, norms and pictures."""
    import timm
    from timm.models.vision_transformer import Block, VisionTransformer

    if not timm.is_model(name.split(".")[0]):
        msg = f"weights timm:{name}: timm has no such model; see timm.list_models"
        raise WeightsError(msg)
    try:
        with torch.device("meta"):
            model = timm.create_model(name, pretrained=False)
    except (RuntimeError, NotImplementedError) as error:
        msg = f"weights timm:{name}: timm cannot make it ({error})"
        raise WeightsError(msg) from error
    plain = isinstance(model, VisionTransformer) and all(
        type(block) is Block and str(block.mlp.act) == str(torch.nn.GELU())
        for block in model.blocks
    )
    if not plain:
        msg = (
            f"weights timm:{name}: a {type(model).__name__} of another make than "
            "VideoMAE; expected a plain VisionTransformer, as vit_base_patch16_224"
        )
        raise WeightsError(msg)
    return model


def _fetched(name: str, described: dict[str, Any]) -> Path:
    repository = described.get("hf_hub_id")
    if not repository:
        msg = f"weights timm:{name}: no published weights. Say timm:{name}@FILE."
        raise WeightsError(msg)
    try:
        return hub.fetch(f"{repository}/model.safetensors")
    except WeightsError as error:
        msg = (
            f"weights timm:{name}: cannot be had here. Get model.safetensors of "
            f"{repository} on another machine, and say --weights timm:{name}@FILE."
        )
        raise WeightsError(msg) from error
