"""Scores of a run as numbers, as a table and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.runtime.console import PLAIN_WIDTH

if TYPE_CHECKING:
    pass


def print_tables(
    results: Mapping[str, Any], folder: RunDirectory, console: Console
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
    if "best_test_epoch" in found:
        table.add_row(
            "peers", "best test epoch: no result", "", *_cells(found["best_test_epoch"])
        )
    table.add_row("chance", "always the largest class", "", *_cells(found["chance"]))
    return table


def _cells(found: Mapping[str, Any]) -> tuple[str, str]:
    return f"{100 * found['war']:.1f}", f"{100 * found['uar']:.1f}"


def _names(speakers: Sequence[str]) -> str:
    shown = list(speakers[:4]) + (["..."] if len(speakers) > 4 else [])
    return ", ".join(shown)
