"""Scores of a run as numbers, as a table and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64
from rich import box
from rich.console import Console
from rich.table import Table

from mmder_train import metrics
from mmder_train.fusion import STRATEGIES
from mmder_train.records import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN_WIDTH = 100
"""Columns of a table in a log file."""


def scores(counts: Int64[np.ndarray, "class class"]) -> dict[str, Any]:
    """Give WAR, UAR, recall by class (None where a class has no clip) and counts."""
    return {
        "clips": int(counts.sum()),
        "war": metrics.war(counts),
        "uar": metrics.uar(counts),
        "recall": [
            None if np.isnan(r) else r for r in metrics.recalls(counts).tolist()
        ],
        "confusion": counts.tolist(),
    }


def summary(
    counts: Mapping[int, Int64[np.ndarray, "class class"]],
    more: Mapping[int, Mapping[str, Any]],
) -> dict[str, Any]:
    """Give scores by fold, their mean and standard deviation, and those of all clips.

    Args:
        counts: Confusion matrix by number of the fold.
        more: What else is known of each fold.
    """
    by_fold = [{"fold": k, **more[k], **scores(counts[k])} for k in counts]
    pooled = np.sum(list(counts.values()), axis=0)
    war, uar = metrics.chance(pooled)
    over = {name: [f[name] for f in by_fold] for name in ("war", "uar")}
    return {
        "folds": by_fold,
        "mean": {name: float(np.mean(values)) for name, values in over.items()},
        "std": {name: float(np.std(values)) for name, values in over.items()},
        "pooled": scores(pooled),
        "chance": {"war": war, "uar": uar},
    }


def print_tables(
    results: Mapping[str, Any], folder: RunFolder, console: Console
) -> None:
    """Print a table of folds for each strategy, one of all strategies, and the paths.

    Scores over fewer classes than were trained stand in tables of their own.
    """
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    # In the order of the paper; a baseline is no strategy.
    order = [*STRATEGIES, *results["strategies"]]
    names = sorted(results["strategies"], key=order.index)
    found = {name: results["strategies"][name] for name in names}
    tables = [
        {"": f} | {m["title"]: m for m in f.get("merged", [])} for f in found.values()
    ]
    for name, by_title in zip(names, tables, strict=True):
        for title, scored in by_title.items():
            console.print(_table(name, found[name]["equation"], title, scored))
    if len(names) > 1:
        for title in tables[0]:
            rows = {n: t[title] for n, t in zip(names, tables, strict=True)}
            console.print(_overview(rows, found, title))
    for name in names:
        _print_path("confusion matrix", folder.confusion(name), console)
    _print_path("all numbers", folder.path / "results.json", console)


def _print_path(what: str, path: Path, console: Console) -> None:
    console.print(f"{what}: {path}", soft_wrap=True, highlight=False, markup=False)


def _overview(
    rows: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, Mapping[str, Any]],
    title: str,
) -> Table:
    """Lay out one row a strategy."""
    table = Table(title=_title("all strategies", title), box=box.ASCII2)
    table.title_justify = "left"
    table.add_column("strategy")
    table.add_column("paper")
    for column in ("clips", "WAR", "UAR", "WAR, mean of folds", "UAR, mean of folds"):
        table.add_column(column, justify="right")
    for name, found in rows.items():
        several = len(found["folds"]) > 1
        pairs = zip(_cells(found["mean"]), _cells(found["std"]), strict=True)
        table.add_row(
            name,
            about[name]["equation"],
            str(found["pooled"]["clips"]),
            *_cells(found["pooled"]),
            *(f"{m} +- {s}" if several else m for m, s in pairs),
        )
    table.add_section()
    # Strategies may be tested on other clips: chance is that of the most.
    most = max(rows.values(), key=lambda found: found["pooled"]["clips"])
    table.add_row("chance", "", "", *_cells(most["chance"]), "", "")
    return table


def _title(what: str, title: str) -> str:
    return ", ".join(filter(None, [what, title, "percent"]))


def _table(name: str, equation: str, title: str, found: Mapping[str, Any]) -> Table:
    table = Table(
        title=_title(f"{name} ({equation})", title),
        box=box.ASCII2,
        title_justify="left",
    )
    table.add_column("fold")
    table.add_column("tested speakers")
    for column in ("clips", "WAR", "UAR"):
        table.add_column(column, justify="right")
    for fold in found["folds"]:
        table.add_row(
            str(fold["fold"]),
            _names(fold["speakers"]),
            str(fold["clips"]),
            *_cells(fold),
        )
    table.add_section()
    if len(found["folds"]) > 1:
        pairs = zip(_cells(found["mean"]), _cells(found["std"]), strict=True)
        table.add_row(
            "mean", "and spread of folds", "", *(f"{m} +- {s}" for m, s in pairs)
        )
        pooled = found["pooled"]
        table.add_row("pooled", "all clips", str(pooled["clips"]), *_cells(pooled))
    if "peer_style" in found:
        table.add_row(
            "peers", "best test epoch: no result", "", *_cells(found["peer_style"])
        )
    table.add_row("chance", "always the largest class", "", *_cells(found["chance"]))
    return table


def _cells(found: Mapping[str, Any]) -> tuple[str, str]:
    return f"{100 * found['war']:.1f}", f"{100 * found['uar']:.1f}"


def _names(speakers: Sequence[str]) -> str:
    shown = list(speakers[:4]) + (["..."] if len(speakers) > 4 else [])
    return ", ".join(shown)


def draw_confusion(
    path: Path, name: str, found: Mapping[str, Any], classes: Sequence[str]
) -> None:
    """Draw the pooled confusion matrix as PNG."""
    pooled = found["pooled"]
    title = (
        f"{name}: WAR {pooled['war']:.1%}, UAR {pooled['uar']:.1%}\n"
        f"{pooled['clips']} clips of {len(found['folds'])} test folds"
    )
    figure = confusion_figure(np.array(pooled["confusion"]), classes, title)
    figure.savefig(path, format="png", dpi=130)


def confusion_figure(
    counts: Int64[np.ndarray, "class class"], classes: Sequence[str], title: str
) -> "Figure":
    """Draw a confusion matrix: colour is recall, numbers are clips."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.6 + 0.9 * len(classes), 1.7 + 0.8 * len(classes)))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), clips in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{clips}\n{share[row, column]:.0%}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=11)
    bar = figure.colorbar(picture, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    figure.tight_layout()
    return figure
