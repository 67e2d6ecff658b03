"""A model while it learns: one step of the optimiser, and all that a step changes."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]
from torch import Tensor, nn, optim
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from mmder_store.errors import MmderError
from mmder_train.runtime.device import mixed_precision
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.runtime.memory import is_out_of_memory

BEST_PREFIX = "best."
EMA_PREFIX = "average."
MODEL_PREFIX = "model."
OPTIMIZER_PREFIX = "optimiser."
RANDOM_PREFIX = "random."


class NonFiniteLossError(MmderError):
    """The loss of a step is no number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """Clips that pass the model at once: a step's batch, or a share of it."""

    x: Tensor
    """What the model takes."""
    target: Tensor
    """Classes, or each clip's share in every class where clips are mixed."""
    counts: bool = True
    """False for a clip that only keeps this process in step with the others."""


@dataclass(kw_only=True, slots=True)
class TrainState:
    """A model, its optimiser, and how far they are."""

    model: nn.Module
    optimizer: optim.Optimizer
    set_lr: Callable[[int], None]
    """Called with the number of each step, from 0."""
    device: torch.device
    world: WorldInfo = SINGLE_PROCESS
    label_smoothing: float = 0.0
    clip_grad: float = 0.0
    """Longest gradient; 0 for any."""
    ema: ModelEmaV3 | None = None
    """Mean of the weights over the steps; tested in their place."""
    step: int = 0
    """Steps taken."""
    loss_sum: float = 0.0
    """Over the clips of this epoch."""
    clips: int = 0
    """Trained on in this epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One row an epoch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the epoch that was best in validation, on the CPU."""
    _wrapped: nn.Module | None = None

    def __post_init__(self) -> None:
        """Let several processes share their gradients."""
        if self.world.world_size > 1:
            gpu = self.device.type == "cuda"
            self._wrapped = DistributedDataParallel(
                self.model,
                device_ids=[self.device.index] if gpu else None,
                # Regions' last block has layers that its read-out does not use.
                find_unused_parameters=getattr(self.model, "has_unused", False),
            )

    @property
    def eval_model(self) -> nn.Module:
        """The weights that are tested: the mean's where there is one."""
        return self.model if self.ema is None else self.ema.module

    def train_step(self, parts: Iterator[MicroBatch], *, clips: int) -> float:
        """Take one step; give the mean loss of this process's clips.

        Paper: IV-B3, "sparse categorical cross-entropy".

        Args:
            parts: This process's clips; gradients are summed over them, so that they
                need not fit the memory at once.
            clips: Clips of the step, in all processes.

        Raises:
            NotANumberError: If the loss is none; the weights are as before.
        """
        self.model.train()
        self.set_lr(self.step)
        total, own = self._gradients(parts, clips)
        if not math.isfinite(total):
            msg = f"the loss is {total}"
            raise NonFiniteLossError(msg)
        if self.clip_grad:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.model, step=self.step)
        self.step += 1
        self.loss_sum += total
        self.clips += own
        return total / max(own, 1)

    def _gradients(self, parts: Iterator[MicroBatch], clips: int) -> tuple[float, int]:
        """Sum gradients of the mean loss over parts; give its sum, and own clips."""
        self.optimizer.zero_grad(set_to_none=True)
        model = self._wrapped or self.model
        total, own = torch.zeros((), device=self.device), 0
        part = next(parts)
        while part is not None:
            following = next(parts, None)
            # Processes exchange gradients once a step, with the last part.
            waits = following is not None and isinstance(model, DistributedDataParallel)
            with model.no_sync() if waits else nullcontext():  # type: ignore[operator]
                with mixed_precision(self.device):
                    logits = model(part.x)
                loss = functional.cross_entropy(
                    logits.float(),
                    part.target,
                    # Shares of mixed clips are smoothed when they are mixed.
                    label_smoothing=(
                        0.0 if part.target.is_floating_point() else self.label_smoothing
                    ),
                    reduction="sum",
                ) * float(part.counts)
                # Of the mean over all processes, which share means of gradients.
                (loss * (self.world.world_size / clips)).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            own += len(part.target) * part.counts
            part = following  # type: ignore[assignment]
        return total.item(), own

    def fits(self, parts: Iterator[MicroBatch], *, clips: int) -> bool:
        """Tell if the gradients of a step fit the memory; no step is taken."""
        try:
            self._gradients(parts, clips)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            self.optimizer.zero_grad(set_to_none=True)
        return True

    def end_epoch(self) -> float:
        """Give the mean loss of the epoch's clips in all processes; begin the next."""
        loss = self.world.all_reduce_sum(self.loss_sum) / self.world.all_reduce_sum(
            self.clips
        )
        self.loss_sum, self.clips = 0.0, 0
        return loss

    def save_best(self) -> None:
        """Remember the weights as they are."""
        state = self.eval_model.state_dict()
        self.best = {name: t.detach().cpu().clone() for name, t in state.items()}

    def restore_best(self) -> None:
        """Take the weights that were remembered; the last ones if none were."""
        if self.best:
            self.eval_model.load_state_dict(self.best)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that a step changes: tensors by name, and what JSON holds."""
        found = {MODEL_PREFIX + name: t for name, t in self.model.state_dict().items()}
        if self.ema is not None:
            inner = self.ema.module.state_dict()
            found |= {EMA_PREFIX + name: t for name, t in inner.items()}
        found |= {BEST_PREFIX + name: t for name, t in self.best.items()}
        for number, kept in self.optimizer.state_dict()["state"].items():
            found |= {
                f"{OPTIMIZER_PREFIX}{number}.{name}": t for name, t in kept.items()
            }
        found[RANDOM_PREFIX + "cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            found[RANDOM_PREFIX + "cuda"] = torch.cuda.get_rng_state(self.device)
        facts = {
            "step": self.step,
            # As text that keeps every digit.
            "loss_sum": self.loss_sum.hex(),
            "clips": self.clips,
            "history": self.history,
        }
        return {k: t.detach().cpu().contiguous() for k, t in found.items()}, facts

    def load_state_dict(
        self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
    ) -> None:
        """Become what `state` told of.

        Raises:
            KeyError, ValueError, RuntimeError: If it is of another model.
        """
        self.model.load_state_dict(with_prefix(MODEL_PREFIX, tensors))
        if self.ema is not None:
            self.ema.module.load_state_dict(with_prefix(EMA_PREFIX, tensors))
        self.best = with_prefix(BEST_PREFIX, tensors)
        kept: dict[int, dict[str, Tensor]] = {}
        for name, tensor in with_prefix(OPTIMIZER_PREFIX, tensors).items():
            number, _, what = name.partition(".")
            kept.setdefault(int(number), {})[what] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": kept, "param_groups": groups})
        torch.set_rng_state(tensors[RANDOM_PREFIX + "cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors[RANDOM_PREFIX + "cuda"], self.device)
        self.step = int(facts["step"])
        self.loss_sum = float.fromhex(facts["loss_sum"])
        self.clips = int(facts["clips"])
        self.history = list(facts["history"])


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)
    }
