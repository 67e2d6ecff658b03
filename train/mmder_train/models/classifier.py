"""Classifier: an encoder with a classification head."""

from jaxtyping import Float
from torch import Tensor, nn

from mmder_train.models.videomae import Head


class Classifier(nn.Module):
    """An encoder and a head that are fine-tuned together."""

    def __init__(self, encoder: nn.Module, head: Head) -> None:
        """Join an encoder and a head."""
        super().__init__()
        self.encoder = encoder
        self.head = head

    @property
    def has_unused(self) -> bool:
        """True if some weights do not affect the output, so their gradient is zero.

        These are the weights of MAE-DFER's last local step if region tokens are pooled.
        """
        return getattr(self.encoder, "pool", "mean") == "region"

    def group_matcher(self, *, coarse: bool) -> dict[str, str]:
        """Return patterns of layer names for timm's layer decay.

        The layers are the patch embedding, each block, and the head. MAE-DFER's region
        tokens belong to no pattern and learn at the full rate, as in its official
        code (``get_num_layer_for_vit`` in ``optim_factory.py``).
        """
        del coarse  # timm passes it; there is only one grouping
        return {
            "stem": r"^encoder\.patch_embed",
            "blocks": r"^encoder\.blocks\.(\d+)",
        }

    def forward(
        self, clips: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float[Tensor, "clip class"]:
        """Return the logits."""
        logits: Tensor = self.head(self.encoder(clips))
        return logits
