"""A stack of classification heads, computed together as batched matrix products."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_train.models.videomae import Head


class HeadStack(nn.Module):
    """Heads of one size. Each parameter has the head as its first axis; see `Head`."""

    def __init__(self, heads: Sequence[Head]) -> None:
        """Create a stack with copies of the parameters of some heads."""
        super().__init__()
        self.scale = _stack([head.fc_norm.weight for head in heads])
        self.shift = _stack([head.fc_norm.bias for head in heads])
        self.weight = _stack([head.head.weight for head in heads])
        self.bias = _stack([head.head.bias for head in heads])

    def no_weight_decay(self) -> set[str]:
        """Return the parameters of norms and biases, which a head does not decay."""
        return {"scale", "shift", "bias"}

    @torch.no_grad()
    def copy_to(self, head: Head, index: int) -> None:
        """Copy the parameters of one of the heads into a separate head."""
        head.fc_norm.weight.copy_(self.scale[index])
        head.fc_norm.bias.copy_(self.shift[index])
        head.head.weight.copy_(self.weight[index])
        head.head.bias.copy_(self.bias[index])

    @torch.no_grad()
    def backward(
        self,
        x: Float[Tensor, "head batch dim"],
        target: Int64[Tensor, "head batch"],
        clip_weight: Float[Tensor, "head batch"],
    ) -> Float[Tensor, " head"]:
        """Set the gradients of the weighted cross-entropy, and return it for each head.

        The norm's scale is multiplied into the linear layer, and gradients are written
        out. With automatic differentiation a step took twice the time.

        Args:
            x: Features of each head's clips, normalized to mean 0 and variance 1.
            target: Class of each clip.
            clip_weight: Weight of each clip in the loss of its head.
        """
        scale, shift, target = self.scale[:, None], self.shift[:, None], target[:, None]
        bias = torch.bmm(shift, self.weight.mT).mT + self.bias[:, :, None]
        log_p = torch.baddbmm(bias, self.weight * scale, x.mT).log_softmax(1)
        loss = -(log_p.gather(1, target)[:, 0] * clip_weight).sum(1)
        # Gradient of the logits: softmax minus one-hot target.
        error = log_p.exp() * clip_weight[:, None]
        error.scatter_add_(1, target, -clip_weight[:, None])
        summed, product = error.sum(2), torch.bmm(error, x)
        self.bias.grad = summed
        self.scale.grad = (product * self.weight).sum(1)
        self.shift.grad = torch.bmm(summed[:, None], self.weight)[:, 0]
        self.weight.grad = torch.addcmul(product * scale, summed[:, :, None], shift)
        return loss


def _stack(parameters: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([p.detach() for p in parameters]))
