"""Clips pass a model: epochs of learning, and one pass without. No options here."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Int64
from torch import Tensor, nn

from mmder_store.errors import MmderError
from mmder_train.runtime.memory import is_out_of_memory
from mmder_train.runtime.progress import Progress
from mmder_train.training.checkpoint import Checkpoint
from mmder_train.training.train_state import MicroBatch, NonFiniteLossError, TrainState

MAX_NAMES = 8
"""Clips of a step that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """One step's clips, as far as this process has them."""

    index: Int64[Tensor, " clip"]
    """Positions of the clips."""
    clips: int
    """Clips of the step in all processes."""
    parts: Callable[[int], Iterator[MicroBatch]]
    """Gives them in as many parts as asked for, made one after the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitPlan:
    """What is learnt in one fold, and when it ends."""

    epoch_batches: Callable[[int, int], Iterable[StepBatch]]
    """Gives the steps of an epoch, from 0, after so many of them."""
    steps_per_epoch: int
    """Steps of an epoch."""
    epochs: int
    micro_batches: int = 1
    """A step's clips pass in so many parts."""
    validate: Callable[[nn.Module], Mapping[str, float]] = lambda _: {}
    """Gives ``val_uar`` and whatever else is worth a row's column."""
    patience: int = 0
    """Epochs without a better ``val_uar`` after which it ends; 0 for none."""
    clip_ids: Sequence[str]


def fit(
    learner: TrainState,
    course: FitPlan,
    *,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Learn to the end, from wherever the learner is.

    With validation, the weights of the epoch with the best ``val_uar`` are those that
    the learner has in the end; the first of equal ones. Else the last epoch's.

    Raises:
        MmderError: If the loss is no number any more, or memory does not suffice.
        StoppedError: If the run was asked to stop.
    """
    if checkpoint is not None and checkpoint.load(learner):
        progress.log(f"goes on after epoch {len(learner.history)}, step {learner.step}")
    while len(learner.history) < course.epochs and not should_stop_early(
        learner, course
    ):
        epoch = len(learner.history)
        waiting = time.monotonic()
        for lesson in course.epoch_batches(
            epoch, learner.step - epoch * course.steps_per_epoch
        ):
            waited_s = time.monotonic() - waiting
            loss = _take(learner, lesson, course)
            progress.step(clips=lesson.clips, loss=loss, waited_s=waited_s)
            if checkpoint is not None:
                checkpoint.after_step(learner)
            waiting = time.monotonic()
        row: dict[str, Any] = {"epoch": epoch + 1, "loss": learner.end_epoch()}
        row |= course.validate(learner.eval_model)
        if "val_uar" in row and row["val_uar"] > _best(learner.history):
            learner.save_best()
        learner.history.append(row)
        progress.epoch(row, rate=learner.optimizer.param_groups[-1]["lr"])
    learner.restore_best()


def _best(history: Sequence[Mapping[str, float]]) -> float:
    return max((row["val_uar"] for row in history), default=-math.inf)


def should_stop_early(learner: TrainState, course: FitPlan) -> bool:
    rows = learner.history
    if not course.patience or not rows:
        return False
    best = max(range(len(rows)), key=lambda i: (rows[i]["val_uar"], -i))
    return len(rows) - 1 - best >= course.patience


def _take(learner: TrainState, lesson: StepBatch, course: FitPlan) -> float:
    try:
        return learner.train_step(
            lesson.parts(course.micro_batches), clips=lesson.clips
        )
    except NonFiniteLossError as error:
        names = [course.clip_ids[i] for i in lesson.index.tolist()]
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        msg = (
            f"step {learner.step + 1}: {error}, with clips {', '.join(names[:MAX_NAMES])}"
            f"{more}. A smaller --lr may help; if not, look at the store with "
            "mmder-prep verify."
        )
        raise MmderError(msg) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside of `except`, whose error would keep the memory.
    raise MmderError(_what_fits(learner, lesson, course))


def _what_fits(learner: TrainState, lesson: StepBatch, course: FitPlan) -> str:
    """Try smaller parts of the step that did not fit, and say which do."""
    own = len(lesson.index)
    at_once = math.ceil(own / course.micro_batches)
    said = f"out of memory: {at_once} clips at once do not fit"
    parts = course.micro_batches * 2
    while parts < 2 * own and learner.world.world_size == 1:
        if learner.fits(lesson.parts(min(parts, own)), clips=lesson.clips):
            return (
                f"{said}, {math.ceil(own / min(parts, own))} do. "
                f"Say --grad-accum-steps {min(parts, own)}."
            )
        parts *= 2
    tried = ", nor does one" if learner.world.world_size == 1 and own > 1 else ""
    return (
        f"{said}{tried}. Say --checkpoint-activations, a larger --grad-accum-steps, or a "
        "smaller --encoder."
    )
