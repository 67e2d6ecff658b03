"""Write the figures of finished runs as PNG, SVG and PDF."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmder_store.atomic_files import atomic_write
from mmder_store.settings import digest
from mmder_train.evaluation.confusion_plot import confusion_figure, model_text
from mmder_train.evaluation.load_results import load_results
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.evaluation.seeds import file_name, run_seeds
from mmder_train.reporting import paper_plots
from mmder_train.reporting.comparison import Ranking, ResultRow, compare_runs
from mmder_train.runtime import figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME_CHARS = 60
"""Maximum length of the readable part of a file name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureJob:
    """A figure to draw."""

    name: str
    """Name of its files, without suffix."""
    title: str
    """Title, kept in the metadata of the files."""
    description: str
    """Content, kept in the metadata of the files."""
    draw: "Callable[[], Figure]"


def draw_figures(runs: Sequence[Path], out: Path) -> list[Path]:
    """Draw the figures of finished runs, and return the files.

    Args:
        runs: Folders of finished runs.
        out: Folder for the figures.

    Raises:
        SettingsError: If a folder does not contain a finished run, or two contain the
            same one.
    """
    rankings = compare_runs(runs)
    jobs = [job for ranking in rankings for job in _ranking_jobs(ranking)]
    jobs += [job for run in runs for job in _curve_jobs(run)]
    paths = []
    with figure_style.paper_style():
        for job in _unique(jobs):
            figure = job.draw()
            for image_format in figure_style.IMAGE_FORMATS:
                path = out / f"{job.name}.{image_format}"
                with atomic_write(path) as draft:
                    figure_style.save_figure(
                        figure,
                        draft,
                        image_format=image_format,
                        title=job.title,
                        description=job.description,
                    )
                paths.append(path)
    return paths


def _ranking_jobs(ranking: Ranking) -> Iterator[FigureJob]:
    """Yield the figures of the runs over one label set."""
    labels = _slug(ranking.labels)
    rows, titles = ranking.rows, "; ".join(row.title for row in ranking.rows)
    yield FigureJob(
        name=f"scores-{labels}",
        title=f"WAR and UAR over {ranking.labels}",
        description=titles,
        draw=lambda: paper_plots.scores_figure(ranking),
    )
    drawn = rows[: paper_plots.MAX_ROWS]
    kept = f"the best {len(drawn)} of {len(rows)} rows: " if drawn != rows else ""
    yield FigureJob(
        name=f"recall-{labels}",
        title=f"Recall of each class of {ranking.labels}",
        description=kept + "; ".join(row.title for row in drawn),
        draw=lambda: paper_plots.recall_figure(ranking),
    )
    for row in rows:
        yield _confusion_job(ranking, row)


def _confusion_job(ranking: Ranking, row: ResultRow) -> FigureJob:
    model = model_text(row.first.config)
    scores = f"WAR {row.war:.1%}, UAR {row.uar:.1%}"
    return FigureJob(
        name=f"confusion-{_slug(ranking.labels)}-{_slug(row.title)}",
        title=f"{row.title}: {scores}",
        description=", ".join(filter(None, [ranking.labels, model])),
        draw=lambda: confusion_figure(np.asarray(row.confusion), ranking.classes, ""),
    )


def _curve_jobs(run: Path) -> Iterator[FigureJob]:
    """Yield the learning curves of a run, one figure per strategy."""
    name = run.resolve().name
    for strategy in sorted(load_results(run)["strategies"]):
        histories = fold_histories(run, strategy)
        if not histories or max(map(len, histories)) < 2:
            continue  # a baseline is not trained in epochs

        def draw(histories: Sequence[paper_plots.History] = histories) -> "Figure":
            return paper_plots.learning_curves_figure(histories)

        yield FigureJob(
            name=f"curves-{_slug(name)}-{_slug(strategy)}",
            title=f"Learning curves of {strategy}",
            description=f"{len(histories)} folds, of all seeds, of {name}",
            draw=draw,
        )


def fold_histories(run: Path, strategy: str) -> list[paper_plots.History]:
    """Return the epochs of every fold of a strategy, with every seed of the run.

    Args:
        run: Folder of a finished run.
        strategy: Name of a strategy of the run.
    """
    results, folder = load_results(run), RunDirectory(path=run)
    folds = [int(f["fold"]) for f in results["strategies"][strategy]["folds"]]
    names = [file_name(results, strategy, s) for s in run_seeds(results) or (None,)]
    trained = [folder.fold(name, fold) for name in names for fold in folds]
    return [one.history for one in trained if one is not None]


def _slug(text: str) -> str:
    """Return a portable file name for a text; a long one ends with its hash."""
    name = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return (
        name if len(name) <= NAME_CHARS else f"{name[:NAME_CHARS]}-{digest(text)[:6]}"
    )


def _unique(jobs: Sequence[FigureJob]) -> Iterator[FigureJob]:
    """Yield the figures; a name that occurs again gets a number."""
    seen: Counter[str] = Counter()
    for job in jobs:
        seen[job.name] += 1
        number = seen[job.name]
        yield job if number == 1 else replace(job, name=f"{job.name}-{number}")
