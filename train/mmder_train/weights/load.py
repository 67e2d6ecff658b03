"""Load weights from a file, a folder, the Hugging Face hub or timm."""

from dataclasses import replace
from pathlib import Path

from mmder_store.local_path import check_local
from mmder_train.models.registry import ENCODERS
from mmder_train.models.videomae import PoolingConfig
from mmder_train.weights import hub, readers, timm_vit
from mmder_train.weights.completeness import check_complete
from mmder_train.weights.formats import to_official_names
from mmder_train.weights.matching import closest_encoder
from mmder_train.weights.types import RawCheckpoint, SourceInfo, Weights


def load_weights(spec: str | Path) -> Weights:
    """Load weights of any known format.

    Args:
        spec: A file, a folder, ``hf:OWNER/MODEL[/FILE]`` or ``timm:NAME[@FILE]``.

    Raises:
        WeightsError: If there are none, or if they are damaged or of an unknown
            format.
    """
    name, checkpoint = _read_checkpoint(spec)
    check_complete(name, checkpoint)
    fmt, tensors, dropped = to_official_names(name, checkpoint)
    info = checkpoint.source_info
    if fmt.sibling_config is not None:
        info = fmt.sibling_config(checkpoint.paths[0].parent)
    if info.unnamed_image_norm:
        reason = (
            f"{info.unnamed_image_norm} is not a known normalization; "
            f"{fmt.image_norm} is used instead"
        )
        dropped = {**dropped, "image normalization": reason}
    loaded = Weights(
        name=name,
        format=fmt.name,
        sha256=readers.sha256(checkpoint.paths),
        encoder="",
        tensors=tensors,
        dropped=dropped,
        readout=PoolingConfig(),
        image_norm=info.image_norm or fmt.image_norm,
        source_info=info,
        metadata=checkpoint.metadata,
    )
    encoder = closest_encoder(loaded)
    default = ENCODERS[encoder].readout if encoder else PoolingConfig()
    return replace(
        loaded, encoder=encoder, readout=_readout(info, default, fmt.norm_eps)
    )


def _read_checkpoint(spec: str | Path) -> tuple[str, RawCheckpoint]:
    text = str(spec)
    if text.startswith("timm:"):
        return text.partition("@")[0], timm_vit.read(text.removeprefix("timm:"))
    if text.startswith("hf:"):
        return text, readers.read_checkpoint(hub.fetch(text.removeprefix("hf:")))
    check_local(spec, "--weights")
    path = Path(spec)
    return path.absolute().name, readers.read_checkpoint(path)


def _readout(
    info: SourceInfo, default: PoolingConfig, norm_eps: float
) -> PoolingConfig:
    return PoolingConfig(
        norm_eps=norm_eps if info.norm_eps is None else info.norm_eps,
        pool=info.pool or default.pool,
        pos_embed=default.pos_embed if info.pos_embed is None else info.pos_embed,
    )
