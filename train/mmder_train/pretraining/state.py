"""Training state of pre-training: the loss, also per modality, and its checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from mmder_train.pretraining.batches import MaskedBatch
from mmder_train.pretraining.targets import frame_errors, kind_losses, kind_sums
from mmder_train.runtime.device import mixed_precision
from mmder_train.training.train_state import MicroBatch, TrainState


def _zeros() -> Tensor:
    return torch.zeros(2, 2, dtype=torch.float64)


@dataclass(kw_only=True, slots=True)
class PretrainState(TrainState):
    """A masked autoencoder, its optimizer, and their progress."""

    sums: Float64[Tensor, "2 2"] = field(default_factory=_zeros)
    """Sum and number of the errors of video and audio in the current epoch, over this
    process's clips."""
    epoch_losses: dict[str, float] = field(default_factory=dict)
    """Losses of the last finished epoch, over all processes."""

    def _loss_sum(self, model: nn.Module, micro_batch: MicroBatch) -> Tensor:
        """Return the sum over clips of the mean squared error of hidden tokens."""
        assert isinstance(micro_batch, MaskedBatch)
        with mixed_precision(self.device):
            predicted = model(micro_batch.x, micro_batch.visible, micro_batch.hidden)
        errors = frame_errors(predicted.float(), micro_batch.target)
        if micro_batch.counts:
            by_clip = kind_sums(errors.detach(), micro_batch.kinds)
            self.sums = self.sums.to(by_clip.device) + by_clip.sum(0).double()
        return errors.mean((1, 2)).sum()

    def end_epoch(self) -> float:
        """Return the epoch's mean loss, and keep the losses of both modalities."""
        loss = TrainState.end_epoch(self)
        sums = torch.stack(self.world.all_gather(self.sums.cpu())).sum(0)
        self.epoch_losses = {"loss": loss, **kind_losses(sums)}
        self.sums = _zeros()
        return loss

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything that a step changes: tensors by name, and JSON values."""
        tensors, facts = TrainState.state_dict(self)
        # As hexadecimal text, which keeps every bit.
        sums = [value.hex() for value in self.sums.flatten().tolist()]
        return tensors, facts | {"sums": sums}

    def load_state_dict(
        self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
    ) -> None:
        """Restore a state returned by `state_dict`.

        Raises:
            KeyError, ValueError, RuntimeError: If the state is of another model.
        """
        TrainState.load_state_dict(self, tensors, facts)
        values = [float.fromhex(text) for text in facts["sums"]]
        self.sums = torch.tensor(values, dtype=torch.float64).view(2, 2)
