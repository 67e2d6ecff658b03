"""TODO."""

from jaxtyping import Float
from torch import Tensor, nn

from mmder_train.models.videomae import Head


class Classifier(nn.Module):
    """An encoder and a head that are tuned together."""

    def __init__(self, encoder: nn.Module, head: Head) -> None:
        """Join the two."""
        super().__init__()
        self.encoder = encoder
        self.head = head

    @property
    def has_unused(self) -> bool:
        """Whether some weights get no gradient: the last local step of MAE-DFER."""
        return getattr(self.encoder, "pool", "mean") == "region"

    def group_matcher(self, *, coarse: bool) -> dict[str, str]:
        """Name the layers for timm's layer decay: patches, each block, the head."""
        del coarse  # one way alone
        return {
            "stem": r"^encoder\.(?:patch_embed|lg_region_tokens)",
            "blocks": r"^encoder\.blocks\.(\d+)",
        }

    def forward(
        self, clips: Float[Tensor, "clip 3 16 224 224"]
    ) -> Float[Tensor, "clip class"]:
        """Give the logits."""
        logits: Tensor = self.head(self.encoder(clips))
        return logits
