"""Training loop: steps, validation after each epoch, early stopping and resuming."""

import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Int64
from torch import Tensor, nn

from mmder_store.errors import MmderError
from mmder_train.runtime.memory import is_out_of_memory
from mmder_train.runtime.metrics_file import Tags
from mmder_train.runtime.progress import Progress
from mmder_train.training.checkpoint import Checkpoint
from mmder_train.training.step_loss import NonFiniteLossError
from mmder_train.training.train_state import MicroBatch, TrainState

MAX_NAMES = 8
"""Maximum number of clips that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """The clips of one step that belong to this process."""

    index: Int64[Tensor, " clip"]
    """Positions of the clips."""
    clips: int
    """Number of clips of the step in all processes."""
    split: Callable[[int], Iterator[MicroBatch]]
    """Function that yields the clips in a number of micro-batches, made one by one."""


Recent = deque[tuple[int, StepBatch]]
"""The latest steps: the number of each, and its clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitPlan:
    """Batches of one fold, and the conditions that end its training."""

    epoch_batches: Callable[[int, int], Iterable[StepBatch]]
    """Function that yields the steps of an epoch: `epoch_batches(epoch, first_step)`.
    Both are counted from 0."""
    steps_per_epoch: int
    epochs: int
    grad_accum_steps: int = 1
    """Number of micro-batches per step."""
    validate: Callable[[nn.Module], Mapping[str, float]] = lambda _: {}
    """Function that returns ``val_uar`` and other scores for the epoch's row."""
    patience: int = 0
    """Number of epochs without a better ``val_uar`` after which training ends. 0
    disables early stopping."""
    clip_ids: Sequence[str]
    """Names of all clips, for messages."""
    lr_option: str = "--lr"
    """Option of the learning rate, for messages."""
    tags: Tags = field(default_factory=dict)
    """Tags of the fold in the metrics."""


def fit(
    state: TrainState,
    plan: FitPlan,
    *,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train to the last epoch, resuming from the current state.

    With validation, the state ends with the weights of the epoch with the best
    ``val_uar``, the first of equal ones. Without, it ends with those of the last epoch.

    Args:
        state: Model and optimizer.
        plan: Batches and epochs.
        progress: Receives each step and each epoch.
        checkpoint: Files to resume from and to save to.

    Raises:
        MmderError: If the loss is not finite, or the memory does not suffice.
        OSError: If a checkpoint cannot be written.
        TrainingInterruptedError: If the run was asked to stop.
    """
    with nullcontext() if checkpoint is None else checkpoint.writing():
        _fit(state, plan, progress, checkpoint)


def _fit(
    state: TrainState,
    plan: FitPlan,
    progress: Progress,
    checkpoint: Checkpoint | None,
) -> None:
    if checkpoint is not None and checkpoint.load(state):
        progress.log(f"resuming after epoch {len(state.history)}, step {state.step}")
    progress.start_epochs([plan.tags], done=len(state.history))
    # The loss of a step may be checked during the next one.
    recent: Recent = deque(maxlen=2)
    while len(state.history) < plan.epochs and not should_stop_early(
        state.history, plan.patience
    ):
        epoch = len(state.history)
        waiting_since = time.monotonic()
        for step_batch in plan.epoch_batches(
            epoch, state.step - epoch * plan.steps_per_epoch
        ):
            waited_s = time.monotonic() - waiting_since
            recent.append((state.step, step_batch))
            with _explain_errors(state, recent, plan):
                loss = state.train_step(
                    step_batch.split(plan.grad_accum_steps), clips=step_batch.clips
                )
                progress.step(clips=step_batch.clips, loss=loss, waited_s=waited_s)
                if checkpoint is not None:
                    checkpoint.after_step(state)
            waiting_since = time.monotonic()
        with _explain_errors(state, recent, plan):
            row: dict[str, Any] = {"epoch": epoch + 1, "loss": state.end_epoch()}
        row |= plan.validate(state.eval_model)
        if "val_uar" in row and row["val_uar"] > _best_uar(state.history):
            state.save_best()
        state.history.append(row)
        progress.epoch(row, lr=state.optimizer.param_groups[-1]["lr"], tags=plan.tags)
    state.restore_best()


def _best_uar(history: Sequence[Mapping[str, float]]) -> float:
    return max((row["val_uar"] for row in history), default=-math.inf)


def should_stop_early(history: Sequence[Mapping[str, float]], patience: int) -> bool:
    """Return whether the last `patience` epochs brought no better ``val_uar``."""
    if not patience or not history:
        return False
    best = max(range(len(history)), key=lambda i: (history[i]["val_uar"], -i))
    return len(history) - 1 - best >= patience


def non_finite_error(
    loss: float,
    *,
    step: int,
    clip_ids: Sequence[str],
    title: str = "",
    lr_option: str = "--lr",
) -> MmderError:
    """Return the error of a step whose loss is infinite or NaN.

    Args:
        loss: The loss.
        step: Number of the step, from 1.
        clip_ids: Names of the clips of the step.
        title: Name of the fold. Empty if only one fold is trained at a time.
        lr_option: Option of the learning rate.
    """
    hidden = len(clip_ids) - MAX_NAMES
    rest = f" and {hidden} more" if hidden > 0 else ""
    return MmderError(
        f"{f'{title}, ' if title else ''}step {step}: the loss is {loss}, with clips "
        f"{', '.join(clip_ids[:MAX_NAMES])}{rest}. A smaller {lr_option} may help. "
        "If not, check the store with mmder-prep verify."
    )


@contextmanager
def _explain_errors(state: TrainState, recent: Recent, plan: FitPlan) -> Iterator[None]:
    """Translate a failed step into a message with a way out."""
    try:
        yield
    except NonFiniteLossError as error:
        step_batch = dict(recent)[error.step]
        names = [plan.clip_ids[i] for i in step_batch.index.tolist()]
        raise non_finite_error(
            error.loss,
            step=error.step + 1,
            clip_ids=names,
            lr_option=plan.lr_option,
        ) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or not recent:
            raise
        # The frames of the failed step hold its tensors until they are cleared.
        traceback.clear_frames(error.__traceback__)
        raise MmderError(_suggest_micro_batches(state, recent[-1][1], plan)) from error


def _suggest_micro_batches(
    state: TrainState, step_batch: StepBatch, plan: FitPlan
) -> str:
    """Try smaller micro-batches of a step that did not fit, and name those that do."""
    own_clips = len(step_batch.index)
    at_once = math.ceil(own_clips / plan.grad_accum_steps)
    problem = f"out of memory: {at_once} clips at once do not fit"
    steps = plan.grad_accum_steps * 2
    while steps < 2 * own_clips and state.world.world_size == 1:
        number = min(steps, own_clips)
        if state.fits_in_memory(step_batch.split(number), clips=step_batch.clips):
            return (
                f"{problem}, {math.ceil(own_clips / number)} do. "
                f"Use --grad-accum-steps {number}."
            )
        steps *= 2
    tried = (
        ", and neither does one"
        if state.world.world_size == 1 and own_clips > 1
        else ""
    )
    return (
        f"{problem}{tried}. Use --checkpoint-activations, a larger --grad-accum-steps, "
        "or a smaller --encoder."
    )
