"""From what the user called it to weights under the official names."""

from dataclasses import replace
from pathlib import Path

from mmder_train.models.registry import ENCODERS
from mmder_train.models.videomae import PoolingConfig
from mmder_train.weights import hub, readers, timm_vit
from mmder_train.weights.formats import to_official_names
from mmder_train.weights.matching import encoder_of
from mmder_train.weights.types import RawCheckpoint, SourceInfo, Weights


def load_weights(spec: str | Path) -> Weights:
    """Read weights of any known format.

    Args:
        spec: A file, a folder, ``hf:OWNER/MODEL[/FILE]`` or ``timm:NAME[@FILE]``.

    Raises:
        WeightsError: If there are none, or they are damaged, or of no known format.
    """
    name, held = _read_checkpoint(spec)
    form, tensors, left_out = to_official_names(name, held)
    facts = held.facts
    if form.sibling_config is not None:
        facts = form.sibling_config(held.paths[0].parent)
    if facts.unnamed_image_norm:
        why = (
            f"{facts.unnamed_image_norm} is none known here; {form.image_norm} instead"
        )
        left_out = {**left_out, "statistics of its pictures": why}
    found = Weights(
        name=name,
        format=form.name,
        sha256=readers.sha256(held.paths),
        encoder="",
        tensors=tensors,
        dropped=left_out,
        readout=PoolingConfig(),
        image_norm=facts.image_norm or form.image_norm,
        facts=facts,
        metadata=held.metadata,
    )
    encoder = encoder_of(found)
    asked = ENCODERS[encoder].readout if encoder else PoolingConfig()
    return replace(
        found, encoder=encoder, readout=_readout(facts, asked, form.norm_eps)
    )


def _read_checkpoint(spec: str | Path) -> tuple[str, RawCheckpoint]:
    text = str(spec)
    if text.startswith("timm:"):
        return text.partition("@")[0], timm_vit.read(text.removeprefix("timm:"))
    if text.startswith("hf:"):
        return text, readers.read_checkpoint(hub.fetch(text.removeprefix("hf:")))
    path = Path(spec)
    return path.absolute().name, readers.read_checkpoint(path)


def _readout(facts: SourceInfo, asked: PoolingConfig, epsilon: float) -> PoolingConfig:
    return PoolingConfig(
        norm_eps=epsilon if facts.norm_eps is None else facts.norm_eps,
        pool=facts.pool or asked.pool,
        pos_embed=asked.pos_embed if facts.pos_embed is None else facts.pos_embed,
    )
