"""Training state of pre-training: the loss, also per modality, and its checkpoint."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from mmder_train.pretraining.batches import MaskedBatch
from mmder_train.pretraining.targets import frame_errors, kind_losses, kind_sums
from mmder_train.runtime.device import mixed_precision
from mmder_train.training.process_state import ProcessState
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

    def process_state(self) -> ProcessState:
        """Return what a step changes in this process only."""
        sums = tuple(self.sums.flatten().tolist())
        return replace(TrainState.process_state(self), further=sums)

    def load_process_state(self, saved: ProcessState) -> None:
        """Restore a state returned by `process_state`."""
        TrainState.load_process_state(self, saved)
        self.sums = torch.tensor(saved.further, dtype=torch.float64).view(2, 2)
