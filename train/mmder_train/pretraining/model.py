"""Masked autoencoder: an encoder of visible tokens, and a decoder of hidden ones.

Masked autoencoders (arXiv 2111.06377), VideoMAE (arXiv 2203.12602). Paper: section V-B
names pre-training on video and audio as future work.
"""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_store.errors import SettingsError
from mmder_train.models import videomae
from mmder_train.models.registry import Encoder
from mmder_train.models.videomae import TUBELET, gather_tokens, run_blocks
from mmder_train.pretraining.decoder import DECODERS, Decoder

TokenIndex = Int64[Tensor, "clip token"]


def encode_visible(
    encoder: videomae.Encoder,
    x: Float[Tensor, "clip 3 16 224 224"],
    visible: TokenIndex,
) -> Float[Tensor, "clip token dim"]:
    """Run only the visible tokens through an encoder.

    Pixels of other tokens are not read. If all tokens are visible, the result is that
    of `Encoder.tokens`.

    Args:
        encoder: Encoder of the VideoMAE family.
        x: Inputs.
        visible: Number of each visible token.
    """
    tokens: Tensor = encoder.patch_embed(x, visible)
    if encoder.positions is not None:
        table = encoder.positions.to(tokens.dtype).expand(len(x), -1, -1)
        tokens = tokens + gather_tokens(table, visible)
    return run_blocks(encoder.blocks, tokens, recompute=encoder.checkpoint_activations)


class MaskedAutoencoder(nn.Module):
    """An encoder and a decoder that are trained together."""

    def __init__(self, encoder: videomae.Encoder, decoder: Decoder) -> None:
        """Join an encoder and a decoder."""
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    @property
    def patch_px(self) -> int:
        """Height and width of a patch."""
        return patch_px(self.encoder)

    def forward(
        self,
        x: Float[Tensor, "clip 3 16 224 224"],
        visible: TokenIndex,
        hidden: Int64[Tensor, "clip hidden"],
    ) -> Float[Tensor, "clip hidden pixel"]:
        """Return the predicted target of each hidden token.

        Args:
            x: Inputs.
            visible: Number of each token that the encoder sees.
            hidden: Number of each token that the decoder predicts.
        """
        encoded = encode_visible(self.encoder, x, visible)
        predicted: Tensor = self.decoder(
            encoded, visible, hidden, recompute=self.encoder.checkpoint_activations
        )
        return predicted


def patch_px(encoder: videomae.Encoder) -> int:
    """Return the height and width of an encoder's patches."""
    return int(encoder.patch_embed.proj.kernel_size[1])


def check_encoder(name: str) -> None:
    """Check that an encoder can be pre-trained.

    Raises:
        SettingsError: If its blocks need all tokens.
    """
    if name not in DECODERS:
        msg = (
            f"--encoder {name}: its attention within regions needs equally many "
            "visible tokens in each region, and pre-training hides more of one "
            f"modality than of the other. Use one of {', '.join(DECODERS)}."
        )
        raise SettingsError(msg)


def build_autoencoder(name: str, encoder: Encoder) -> MaskedAutoencoder:
    """Add a decoder with random weights from torch's global generator to an encoder.

    Args:
        name: Name of the encoder.
        encoder: The encoder, with its initial weights.

    Raises:
        SettingsError: If its blocks need all tokens.
    """
    check_encoder(name)
    assert isinstance(encoder, videomae.Encoder)
    side = patch_px(encoder)
    decoder = Decoder(
        DECODERS[name],
        encoder_dim=encoder.dim,
        tokens=encoder.num_tokens,
        pixels=3 * TUBELET[0] * side * side,
    )
    return MaskedAutoencoder(encoder, decoder)
