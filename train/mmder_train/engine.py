"""Clips pass a model: epochs of learning, and one pass without. No options here."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_store.errors import MmderError
from mmder_train.checkpoint import Checkpoint
from mmder_train.distributed import ALONE, Group
from mmder_train.learner import Learner, NotANumberError, Part, mixed_precision
from mmder_train.memory import is_out_of_memory
from mmder_train.progress import Progress

Inputs = Iterable[tuple[Tensor, Tensor]]
"""Positions of a batch's clips, and what the model takes of them."""

NAMED = 8
"""Clips of a step that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """One step's clips, as far as this process has them."""

    index: Int64[Tensor, " clip"]
    """Positions of the clips."""
    clips: int
    """Clips of the step in all processes."""
    parts: Callable[[int], Iterator[Part]]
    """Gives them in as many parts as asked for, made one after the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What is learnt in one fold, and when it ends."""

    lessons: Callable[[int, int], Iterable[Lesson]]
    """Gives the steps of an epoch, from 0, after so many of them."""
    steps: int
    """Steps of an epoch."""
    epochs: int
    parts: int = 1
    """A step's clips pass in so many parts."""
    judge: Callable[[nn.Module], Mapping[str, float]] = lambda _: {}
    """Gives ``val_uar`` and whatever else is worth a row's column."""
    patience: int = 0
    """Epochs without a better ``val_uar`` after which it ends; 0 for none."""
    clip_ids: Sequence[str]


def learn(
    learner: Learner,
    course: Course,
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
        progress.say(f"goes on after epoch {len(learner.history)}, step {learner.step}")
    while len(learner.history) < course.epochs and not _tired(learner, course):
        epoch = len(learner.history)
        waiting = time.monotonic()
        for lesson in course.lessons(epoch, learner.step - epoch * course.steps):
            waited_s = time.monotonic() - waiting
            loss = _take(learner, lesson, course)
            progress.step(clips=lesson.clips, loss=loss, waited_s=waited_s)
            if checkpoint is not None:
                checkpoint.after_step(learner)
            waiting = time.monotonic()
        row: dict[str, Any] = {"epoch": epoch + 1, "loss": learner.end_epoch()}
        row |= course.judge(learner.tested)
        if "val_uar" in row and row["val_uar"] > _best(learner.history):
            learner.keep_best()
        learner.history.append(row)
        progress.epoch(row, rate=learner.optimiser.param_groups[-1]["lr"])
    learner.return_to_best()


def _best(history: Sequence[Mapping[str, float]]) -> float:
    return max((row["val_uar"] for row in history), default=-math.inf)


def _tired(learner: Learner, course: Course) -> bool:
    rows = learner.history
    if not course.patience or not rows:
        return False
    best = max(range(len(rows)), key=lambda i: (rows[i]["val_uar"], -i))
    return len(rows) - 1 - best >= course.patience


def _take(learner: Learner, lesson: Lesson, course: Course) -> float:
    try:
        return learner.take(lesson.parts(course.parts), clips=lesson.clips)
    except NotANumberError as error:
        names = [course.clip_ids[i] for i in lesson.index.tolist()]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        msg = (
            f"step {learner.step + 1}: {error}, with clips {', '.join(names[:NAMED])}"
            f"{more}. A smaller --lr may help; if not, look at the store with "
            "mmder-prep verify."
        )
        raise MmderError(msg) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside of `except`, whose error would keep the memory.
    raise MmderError(_what_fits(learner, lesson, course))


def _what_fits(learner: Learner, lesson: Lesson, course: Course) -> str:
    """Try smaller parts of the step that did not fit, and say which do."""
    own = len(lesson.index)
    at_once = math.ceil(own / course.parts)
    said = f"out of memory: {at_once} clips at once do not fit"
    parts = course.parts * 2
    while parts < 2 * own and learner.group.size == 1:
        if learner.fits(lesson.parts(min(parts, own)), clips=lesson.clips):
            return (
                f"{said}, {math.ceil(own / min(parts, own))} do. "
                f"Say --accumulate {min(parts, own)}."
            )
        parts *= 2
    tried = ", nor does one" if learner.group.size == 1 and own > 1 else ""
    return (
        f"{said}{tried}. Say --checkpoint-activations, a larger --accumulate, or a "
        "smaller --encoder."
    )


@torch.inference_mode()
def apply(
    model: nn.Module,
    batches: Inputs,
    *,
    device: torch.device,
    group: Group = ALONE,
) -> tuple[Int64[Tensor, " clip"], Float[Tensor, "clip out"]]:
    """Give the positions of clips, ascending, and what the model makes of them.

    Both are on the CPU. Of several processes, each applies the model to its own
    batches, and all get all; a clip that two of them had counts once.
    """
    model.eval()
    found = []
    for positions, batch in batches:
        with mixed_precision(device):
            result = model(batch)
        found.append((positions, result.float().cpu()))
    every = [pair for own in group.gathered(found) for pair in own]
    index, out = (torch.cat(side) for side in zip(*every, strict=True))
    order = index.argsort(stable=True)
    index = index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    return index[first], out[order][first]
