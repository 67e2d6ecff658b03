"""Training state: a model, its optimizer and its progress, and one optimizer step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]
from torch import Tensor, nn, optim
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from mmder_train.runtime.device import mixed_precision
from mmder_train.runtime.distributed import (
    SINGLE_PROCESS,
    WorldInfo,
    share_gradients,
)
from mmder_train.runtime.memory import is_out_of_memory
from mmder_train.runtime.sharding import is_sharded, load_whole, whole_state_dict
from mmder_train.training.process_state import ProcessState
from mmder_train.training.state_tensors import (
    BEST_PREFIX,
    EMA_PREFIX,
    MODEL_PREFIX,
    load_optimizer,
    module_tensors,
    optimizer_tensors,
    select_prefix,
)
from mmder_train.training.step_loss import StepLoss


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """Clips that go through the model together: a step's batch, or a part of it."""

    x: Tensor
    """Input of the model."""
    target: Tensor
    """Class of each clip, or the weight of every class if clips are mixed."""
    counts: bool = True
    """False for a clip that only keeps this process in step with the others."""


@dataclass(kw_only=True, slots=True)
class TrainState:
    """A model, its optimizer, and their progress."""

    model: nn.Module
    optimizer: optim.Optimizer
    set_lr: Callable[[int], None]
    """Function that sets the learning rate, called with each step's number from 0."""
    device: torch.device
    world: WorldInfo = SINGLE_PROCESS
    label_smoothing: float = 0.0
    class_weight: Tensor | None = None
    """Weight of each class in the loss, on the device. None for equal weights."""
    clip_grad: float = 0.0
    """Maximum gradient norm. 0 disables clipping."""
    ema: ModelEmaV3 | None = None
    """Exponential moving average of the weights, evaluated instead of the model."""
    step: int = 0
    """Number of steps taken."""
    loss_sum: float = 0.0
    """Sum of the losses of this process's clips in the current epoch."""
    clips: int = 0
    """Number of this process's clips in `loss_sum`."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One row per epoch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the epoch with the best validation score, on the CPU."""
    defer_loss_check: bool | None = None
    """True to read the loss of a step during the next step, so that the process does
    not wait for its device. None for True on a GPU only."""
    static_graph: bool = False
    """True if each step has one backward pass, so that several processes can plan the
    exchange of their gradients once."""
    sharded: bool = field(init=False)
    """True if the weights are divided among the processes."""
    _wrapped: nn.Module | None = None
    _pending: StepLoss | None = None

    def __post_init__(self) -> None:
        """Wrap the model if several processes share its gradients."""
        if self.defer_loss_check is None:
            self.defer_loss_check = self.device.type == "cuda"
        self.sharded = is_sharded(self.model)
        if self.world.world_size > 1 and not self.sharded:
            self._wrapped = share_gradients(
                self.model,
                self.device,
                # With region pooling, layers of the last block are not used.
                unused=getattr(self.model, "has_unused", False),
                static_graph=self.static_graph,
            )

    @property
    def eval_model(self) -> nn.Module:
        """The evaluated model: the EMA copy if EMA is on."""
        return self.model if self.ema is None else self.ema.module

    def train_step(
        self, micro_batches: Iterator[MicroBatch], *, clips: int
    ) -> float | None:
        """Take one optimizer step, and return a mean loss of this process's clips.

        Paper: IV-B3, "sparse categorical cross-entropy".

        Args:
            micro_batches: Clips of this process. Gradients are summed over the
                micro-batches, so that the clips need not fit in memory at once.
            clips: Number of clips of the step in all processes.

        Returns:
            The loss of this step. With `defer_loss_check` that of the step before, or
            None if there is none.

        Raises:
            NonFiniteLossError: If that loss is infinite or NaN. The weights are
                unchanged, or with `defer_loss_check` spoiled but not saved.
        """
        self.model.train()
        self.set_lr(self.step)
        loss, own_clips = self._accumulate_gradients(micro_batches, clips)
        pending = StepLoss.start_copy(loss, step=self.step, clips=own_clips)
        mean = None if self.defer_loss_check else self._count_loss(pending)
        if self.clip_grad:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.model, step=self.step)
        self.step += 1
        if self.defer_loss_check:
            mean = self.check_loss()
            self._pending = pending
        return mean

    def check_loss(self) -> float | None:
        """Wait for the loss of the last step, unless it is already checked.

        Returns:
            Its mean over this process's clips, or None if there is none to check.

        Raises:
            NonFiniteLossError: If it is infinite or NaN.
        """
        pending, self._pending = self._pending, None
        return None if pending is None else self._count_loss(pending)

    def _count_loss(self, loss: StepLoss) -> float:
        value = loss.wait()
        self.loss_sum += value
        self.clips += loss.clips
        return value / max(loss.clips, 1)

    def _accumulate_gradients(
        self, micro_batches: Iterator[MicroBatch], clips: int
    ) -> tuple[Tensor, int]:
        """Add up the gradients of the mean loss over the micro-batches.

        Returns:
            Sum of the losses of this process's clips, and their number.
        """
        self.optimizer.zero_grad(set_to_none=True)
        model = self._wrapped or self.model
        loss_sum, own_clips = torch.zeros((), device=self.device), 0
        micro_batch = next(micro_batches)
        while micro_batch is not None:
            following = next(micro_batches, None)
            if self.sharded and self.world.all_reduce_max(int(following is not None)):
                # All processes gather the weights equally often.
                following = following or replace(micro_batch, counts=False)
            # Processes exchange gradients once per step, with the last micro-batch.
            waits = following is not None and isinstance(model, DistributedDataParallel)
            with model.no_sync() if waits else nullcontext():  # type: ignore[operator]
                loss = self._loss_sum(model, micro_batch) * float(micro_batch.counts)
                # DistributedDataParallel averages over processes; the factor turns
                # that average of sums into the mean over all clips of the step.
                (loss * (self.world.world_size / clips)).backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.detach()
            own_clips += len(micro_batch.target) * micro_batch.counts
            micro_batch = following  # type: ignore[assignment]
        return loss_sum, own_clips

    def _loss_sum(self, model: nn.Module, micro_batch: MicroBatch) -> Tensor:
        """Return the sum of the losses of the clips of a micro-batch.

        Weights of the classes multiply the losses, and the sum is not divided by them.
        A step divides it by the number of clips, so that the weight of a clip does not
        depend on the other clips of its batch.
        """
        with mixed_precision(self.device):
            logits = model(micro_batch.x)
        target = micro_batch.target
        return functional.cross_entropy(
            logits.float(),
            target,
            weight=self.class_weight,
            # Targets of mixed clips are smoothed when the clips are mixed.
            label_smoothing=(
                0.0 if target.is_floating_point() else self.label_smoothing
            ),
            reduction="sum",
        )

    def fits_in_memory(
        self, micro_batches: Iterator[MicroBatch], *, clips: int
    ) -> bool:
        """Return whether a step fits in memory. No step is taken.

        The moments of AdamW count as well, which the first step allocates.
        """
        try:
            self._accumulate_gradients(micro_batches, clips)
            moments = [
                torch.empty_like(parameter)
                for parameter in self.model.parameters()
                if parameter.requires_grad and not self.optimizer.state.get(parameter)
                for _ in range(2)
            ]
            del moments
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            self.optimizer.zero_grad(set_to_none=True)
        return True

    def end_epoch(self) -> float:
        """Return the epoch's mean loss over all processes, and start the next epoch.

        Raises:
            NonFiniteLossError: If the loss of the last step is infinite or NaN.
        """
        self.check_loss()
        loss = self.world.all_reduce_sum(self.loss_sum) / self.world.all_reduce_sum(
            self.clips
        )
        self.loss_sum, self.clips = 0.0, 0
        return loss

    def save_best(self) -> None:
        """Copy the current evaluated weights to `best`."""
        self.best = whole_state_dict(self.eval_model)

    def restore_best(self) -> None:
        """Load the weights in `best`. Keep the last ones if none were saved."""
        if self.best:
            load_whole(self.eval_model, self.best)

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors that a step changes and all processes share, by name.

        They are the current ones, not copies. All processes must read them all if the
        weights are divided among them.
        """
        yield from module_tensors(MODEL_PREFIX, self.model)
        if self.ema is not None:
            yield from module_tensors(EMA_PREFIX, self.ema.module)
        yield from ((BEST_PREFIX + name, t) for name, t in self.best.items())
        yield from optimizer_tensors(self.optimizer)

    def progress(self) -> dict[str, Any]:
        """Return the progress of the training, as JSON values."""
        return {"step": self.step, "history": list(self.history)}

    def load(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Restore what `named_tensors` and `progress` returned.

        Raises:
            KeyError, ValueError, RuntimeError, IndexError: If they are of another
                model.
        """
        load_whole(self.model, select_prefix(MODEL_PREFIX, tensors))
        if self.ema is not None:
            load_whole(self.ema.module, select_prefix(EMA_PREFIX, tensors))
        self.best = select_prefix(BEST_PREFIX, tensors)
        load_optimizer(self.optimizer, tensors)
        self.step = int(progress["step"])
        self.history = list(progress["history"])

    def process_state(self) -> ProcessState:
        """Return what a step changes in this process only."""
        gpu = self.device.type == "cuda"
        return ProcessState(
            loss_sum=self.loss_sum,
            clips=self.clips,
            cpu_rng=torch.get_rng_state(),
            gpu_rng=torch.cuda.get_rng_state(self.device) if gpu else None,
        )

    def load_process_state(self, saved: ProcessState) -> None:
        """Restore a state returned by `process_state`."""
        self.loss_sum, self.clips = saved.loss_sum, saved.clips
        if saved.cpu_rng is not None:
            torch.set_rng_state(saved.cpu_rng)
        if self.device.type == "cuda" and saved.gpu_rng is not None:
            torch.cuda.set_rng_state(saved.gpu_rng, self.device)
