"""Steps that prediction of clips and of long recordings have in common."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from mmder_train.inference.clip_list import ClipList
    from mmder_train.inference.predictor import Prediction
    from mmder_train.inference.trained_run import TrainedRun


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelChoice:
    """Options that select the models of a run."""

    run: Path
    """Folder of a finished run."""
    strategy: str | None
    """Strategy, if the run has several."""
    fold: int | None
    """Fold whose model is used, None for all."""
    seed: int | None
    """Seed, if the run has several."""
    store: Path | None
    """Store of the run, if its weights have no preparation settings."""
    device: str

    def load(self, clip_list: "ClipList") -> "TrainedRun":
        """Load the models, and print what they are and what they are worth."""
        from mmder_train.inference import prediction_text
        from mmder_train.inference.trained_run import load_trained_run

        trained_run = load_trained_run(
            self.run,
            strategy=self.strategy,
            fold=self.fold,
            seed=self.seed,
            store=self.store,
            device=self.device,
        )
        clip_ids = [clip.clip_id for clip in clip_list.clips]
        for line in (
            *clip_list.warnings,
            prediction_text.describe_models(trained_run),
            trained_run.quality.warning() or trained_run.quality.scores_text(),
            *prediction_text.overlap_warnings(trained_run, clip_ids),
        ):
            click.echo(line, err=True)
        return trained_run


def open_csv(
    out: Path | None, trained_run: "TrainedRun", stack: ExitStack
) -> Callable[["Prediction"], None]:
    """Return a function that writes a prediction to a file.

    It does nothing if no file is asked for. The file is complete when the stack ends.
    """
    from mmder_train.inference import output

    if out is None:
        return lambda _: None
    return stack.enter_context(
        output.csv_writer(
            out,
            trained_run.classes,
            model_warning="; ".join(trained_run.quality.defects()),
        )
    )


def print_counts(predictions: Sequence["Prediction"]) -> None:
    """Print the number of predictions per emotion."""
    counts = Counter(p.emotion or "no emotion" for p in predictions)
    click.echo(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
