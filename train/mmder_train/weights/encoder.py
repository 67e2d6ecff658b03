"""An encoder with pretrained weights, in one call."""

from mmder_train.models.registry import Encoder, build_encoder
from mmder_train.weights.load import load_weights
from mmder_train.weights.matching import load_into


def load_encoder(
    source: str, *, encoder: str = "", allow_missing: tuple[str, ...] = ()
) -> Encoder:
    """Return an encoder with the weights of a file, a folder or a hub.

    The encoder maps a batch of shape (clip, 3, 16, 224, 224), normalized as the weights
    expect, to one feature vector per clip, of shape (clip, dim). It is in evaluation
    mode.

    Args:
        source: As for ``mmder-train --weights``: a file, a folder,
            ``hf:OWNER/MODEL[/FILE]`` or ``timm:NAME[@FILE]``.
        encoder: A name in `ENCODERS`; empty for the one that the weights fit.
        allow_missing: Parts that may be missing; they are initialized at random.

    Raises:
        WeightsError: If the file is damaged, unsafe or does not fit the encoder.
    """
    weights = load_weights(source)
    name = encoder or weights.encoder or "base"
    own = weights.readout if weights.encoder == name else None
    model = build_encoder(name, own)
    load_into(model, weights, allow_missing)
    return model.eval()
