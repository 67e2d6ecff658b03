"""Loss of a step, read from the device without stopping the next step."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mmder_store.errors import MmderError


class NonFiniteLossError(MmderError):
    """The loss of a step is infinite or not a number."""

    def __init__(self, loss: float, *, step: int) -> None:
        """Create the error of a loss.

        Args:
            loss: The loss.
            step: Number of the step, from 0.
        """
        super().__init__(f"the loss is {loss}")
        self.loss = loss
        self.step = step


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLoss:
    """Sum of the losses of this process's clips in one step."""

    step: int
    """Number of the step, from 0."""
    clips: int
    """Number of the clips."""
    value: Tensor
    """The sum, on the CPU. It is valid after `copied`."""
    copied: torch.cuda.Event | None
    """Event at the end of the copy from the GPU. None if there is no copy."""

    @staticmethod
    def start_copy(loss: Tensor, *, step: int, clips: int) -> "StepLoss":
        """Start to copy a loss to the CPU, and return at once."""
        if loss.device.type != "cuda":
            return StepLoss(step=step, clips=clips, value=loss, copied=None)
        value = torch.empty((), dtype=loss.dtype, pin_memory=True)
        value.copy_(loss, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        return StepLoss(step=step, clips=clips, value=value, copied=copied)

    def wait(self) -> float:
        """Wait for the copy, and return the loss.

        Raises:
            NonFiniteLossError: If it is infinite or NaN.
        """
        if self.copied is not None:
            self.copied.synchronize()
        loss = self.value.item()
        if not math.isfinite(loss):
            raise NonFiniteLossError(loss, step=self.step)
        return loss
