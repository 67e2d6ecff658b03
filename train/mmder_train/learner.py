"""A model while it learns: one step of the optimiser, and all that a step changes."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]
from torch import Tensor, nn, optim
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from mmder_store.errors import MmderError
from mmder_train.distributed import ALONE, Group
from mmder_train.memory import is_out_of_memory

BEST = "best."
AVERAGE = "average."
MODEL = "model."
OPTIMISER = "optimiser."
RANDOM = "random."


class NotANumberError(MmderError):
    """The loss of a step is no number."""


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """Give bfloat16 on a GPU; elsewhere it saves nothing."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Clips that pass the model at once: a step's batch, or a share of it."""

    x: Tensor
    """What the model takes."""
    target: Tensor
    """Classes, or each clip's share in every class where clips are mixed."""
    counts: bool = True
    """False for a clip that only keeps this process in step with the others."""


@dataclass(kw_only=True, slots=True)
class Learner:
    """A model, its optimiser, and how far they are."""

    model: nn.Module
    optimiser: optim.Optimizer
    set_rate: Callable[[int], None]
    """Called with the number of each step, from 0."""
    device: torch.device
    group: Group = ALONE
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    """Longest gradient; 0 for any."""
    average: ModelEmaV3 | None = None
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
        if self.group.size > 1:
            gpu = self.device.type == "cuda"
            self._wrapped = DistributedDataParallel(
                self.model,
                device_ids=[self.device.index] if gpu else None,
                # Regions' last block has layers that its read-out does not use.
                find_unused_parameters=getattr(self.model, "has_unused", False),
            )

    @property
    def tested(self) -> nn.Module:
        """The weights that are tested: the mean's where there is one."""
        return self.model if self.average is None else self.average.module

    def take(self, parts: Iterator[Part], *, clips: int) -> float:
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
        self.set_rate(self.step)
        total, own = self._gradients(parts, clips)
        if not math.isfinite(total):
            msg = f"the loss is {total}"
            raise NotANumberError(msg)
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.model, step=self.step)
        self.step += 1
        self.loss_sum += total
        self.clips += own
        return total / max(own, 1)

    def _gradients(self, parts: Iterator[Part], clips: int) -> tuple[float, int]:
        """Sum gradients of the mean loss over parts; give its sum, and own clips."""
        self.optimiser.zero_grad(set_to_none=True)
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
                (loss * (self.group.size / clips)).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            own += len(part.target) * part.counts
            part = following  # type: ignore[assignment]
        return total.item(), own

    def fits(self, parts: Iterator[Part], *, clips: int) -> bool:
        """Tell if the gradients of a step fit the memory; no step is taken."""
        try:
            self._gradients(parts, clips)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            self.optimiser.zero_grad(set_to_none=True)
        return True

    def end_epoch(self) -> float:
        """Give the mean loss of the epoch's clips in all processes; begin the next."""
        loss = self.group.total(self.loss_sum) / self.group.total(self.clips)
        self.loss_sum, self.clips = 0.0, 0
        return loss

    def keep_best(self) -> None:
        """Remember the weights as they are."""
        state = self.tested.state_dict()
        self.best = {name: t.detach().cpu().clone() for name, t in state.items()}

    def return_to_best(self) -> None:
        """Take the weights that were remembered; the last ones if none were."""
        if self.best:
            self.tested.load_state_dict(self.best)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that a step changes: tensors by name, and what JSON holds."""
        found = {MODEL + name: t for name, t in self.model.state_dict().items()}
        if self.average is not None:
            inner = self.average.module.state_dict()
            found |= {AVERAGE + name: t for name, t in inner.items()}
        found |= {BEST + name: t for name, t in self.best.items()}
        for number, kept in self.optimiser.state_dict()["state"].items():
            found |= {f"{OPTIMISER}{number}.{name}": t for name, t in kept.items()}
        found[RANDOM + "cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            found[RANDOM + "cuda"] = torch.cuda.get_rng_state(self.device)
        facts = {
            "step": self.step,
            # As text that keeps every digit.
            "loss_sum": self.loss_sum.hex(),
            "clips": self.clips,
            "history": self.history,
        }
        return {k: t.detach().cpu().contiguous() for k, t in found.items()}, facts

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Become what `state` told of.

        Raises:
            KeyError, ValueError, RuntimeError: If it is of another model.
        """
        self.model.load_state_dict(_under(MODEL, tensors))
        if self.average is not None:
            self.average.module.load_state_dict(_under(AVERAGE, tensors))
        self.best = _under(BEST, tensors)
        kept: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(OPTIMISER, tensors).items():
            number, _, what = name.partition(".")
            kept.setdefault(int(number), {})[what] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": kept, "param_groups": groups})
        torch.set_rng_state(tensors[RANDOM + "cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors[RANDOM + "cuda"], self.device)
        self.step = int(facts["step"])
        self.loss_sum = float.fromhex(facts["loss_sum"])
        self.clips = int(facts["clips"])
        self.history = list(facts["history"])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)
    }
