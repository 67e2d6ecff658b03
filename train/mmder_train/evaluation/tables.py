"""Print the scores of a run as tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mmder_train.evaluation.metrics import SCORES
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.runtime.console import PLAIN_WIDTH


def print_tables(
    results: Mapping[str, Any], folder: RunDirectory, console: Console
) -> None:
    """Print one table of folds per strategy, one of all strategies, and file paths.

    Scores over merged classes are printed in separate tables.
    """
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    # Strategies in the order of the paper, then baselines, which are not strategies.
    order = [*STRATEGIES, *results["strategies"]]
    names = sorted(results["strategies"], key=order.index)
    scores = {name: results["strategies"][name] for name in names}
    tables = [
        {"": s} | {m["title"]: m for m in s.get("merged", [])} for s in scores.values()
    ]
    for name, by_title in zip(names, tables, strict=True):
        for title, scored in by_title.items():
            table_name = f"{name} ({scores[name]['equation']})"
            if "seeds" in scores[name]:
                table_name += f", mean of {len(scores[name]['seeds'])} seeds"
            console.print(_fold_table(table_name + _mark(scores[name]), title, scored))
            if "dropped" in scored:
                console.print(_dropped_table(name + _mark(scores[name]), title, scored))
    if len(names) > 1:
        for title in tables[0]:
            rows = {n: t[title] for n, t in zip(names, tables, strict=True)}
            console.print(_strategy_table(rows, scores, title))
    for name in names:
        if scores[name].get("cross_corpus"):
            console.print(_cross_corpus_table(name, scores[name]["cross_corpus"]))
    for name in names:
        _print_path("confusion matrix", folder.confusion(name), console)
    _print_path("all numbers", folder.path / "results.json", console)


def _print_path(label: str, path: Path, console: Console) -> None:
    console.print(f"{label}: {path}", soft_wrap=True, highlight=False, markup=False)


def _strategy_table(
    rows: Mapping[str, Mapping[str, Any]],
    results: Mapping[str, Mapping[str, Any]],
    title: str,
) -> Table:
    """Build a table with one row per strategy."""
    table = Table(title=_title("all strategies", title), box=box.ASCII2)
    table.title_justify = "left"
    table.add_column("strategy")
    table.add_column("paper")
    of_folds = [f"{title}, mean of folds" for title in SCORES.values()]
    for column in ("clips", *SCORES.values(), *of_folds):
        table.add_column(column, justify="right")
    for name, scores in rows.items():
        table.add_row(
            name + _mark(results[name]),
            results[name]["equation"],
            *_score_cells(scores),
        )
    table.add_section()
    # Strategies may be tested on different clips. Chance is that of the largest set.
    largest = max(rows.values(), key=lambda scores: scores["pooled"]["clips"])
    table.add_row("chance", "", "", *_cells(largest["chance"]))
    return table


def _dropped_table(name: str, title: str, scores: Mapping[str, Any]) -> Table:
    """Build a table of the scores with both modalities, and without each."""
    table = Table(
        title=_title(f"{name}, modalities at test", title),
        box=box.ASCII2,
        title_justify="left",
    )
    table.add_column("modalities")
    of_folds = [f"{title}, mean of folds" for title in SCORES.values()]
    for column in ("clips", *SCORES.values(), *of_folds):
        table.add_column(column, justify="right")
    rows = {"both": scores}
    rows |= {f"no {modality}": s for modality, s in scores["dropped"].items()}
    for label, row in rows.items():
        table.add_row(label, *_score_cells(row))
    table.add_section()
    table.add_row("chance", "", *_cells(scores["chance"]))
    return table


def _score_cells(scores: Mapping[str, Any]) -> list[str]:
    """Return the number of clips, and the scores over all clips and over folds."""
    several = len(scores["folds"]) > 1
    pairs = zip(_cells(scores["mean"]), _cells(scores["std"]), strict=True)
    return [
        str(scores["pooled"]["clips"]),
        *_pooled_cells(scores),
        *(f"{m} +- {s}" if several else m for m, s in pairs),
    ]


def _title(name: str, title: str) -> str:
    return ", ".join(filter(None, [name, title, "percent"]))


def _mark(scores: Mapping[str, Any]) -> str:
    """Return a remark on results that are not valid, empty for all others."""
    if scores.get("seen_in_pretraining"):
        return ", not valid: tests clips seen in pre-training"
    unknown = scores.get("test_speakers") == "unknown"
    return ", not speaker-independent: speakers are unknown" if unknown else ""


def _fold_table(name: str, title: str, scores: Mapping[str, Any]) -> Table:
    """Build a table with one row per fold of a strategy."""
    table = Table(
        title=_title(name, title),
        box=box.ASCII2,
        title_justify="left",
    )
    table.add_column("fold")
    table.add_column("tested speakers")
    for column in ("clips", *SCORES.values()):
        table.add_column(column, justify="right")
    for fold in scores["folds"]:
        table.add_row(
            str(fold["fold"]),
            _speaker_list(fold["speakers"]),
            str(fold["clips"]),
            *_cells(fold),
        )
    table.add_section()
    if len(scores["folds"]) > 1:
        pairs = zip(_cells(scores["mean"]), _cells(scores["std"]), strict=True)
        table.add_row(
            "mean +- std", "over folds", "", *(f"{m} +- {s}" for m, s in pairs)
        )
    if len(scores["folds"]) > 1 or "seed_std" in scores:
        pooled, over = scores["pooled"], "all clips"
        if "seed_std" in scores:
            over = "mean +- std over seeds"
        table.add_row("pooled", over, str(pooled["clips"]), *_pooled_cells(scores))
    for own in scores.get("seeds", ()):
        pooled = own["pooled"]
        name = f"seed {own['seed']}"
        table.add_row(name, "all clips", str(pooled["clips"]), *_cells(pooled))
    if "best_test_epoch" in scores:
        table.add_row(
            "best test epoch",
            "not valid: chosen on the test side",
            "",
            *_cells(scores["best_test_epoch"]),
        )
    table.add_row("chance", "always the largest class", "", *_cells(scores["chance"]))
    return table


def _cross_corpus_table(name: str, entries: Sequence[Mapping[str, Any]]) -> Table:
    """Build a table with one row per other store that a strategy was tested on."""
    table = Table(
        title=_title(f"{name}, trained on the whole store", "")
        + ", over common classes",
        box=box.ASCII2,
        title_justify="left",
    )
    for column in ("test store", "classes", "dropped classes"):
        table.add_column(column)
    for column in ("clips", *SCORES.values(), "chance"):
        table.add_column(column, justify="right")
    for entry in entries:
        dropped = [*entry["dropped_train"], *entry["dropped_test"]]
        table.add_row(
            str(entry["store"]["name"]) + _mark(entry),
            str(len(entry["classes"])),
            ", ".join(dropped) or "none",
            str(entry["pooled"]["clips"]),
            *_cells(entry["pooled"]),
            " / ".join(_cells(entry["chance"])),
        )
    return table


def _pooled_cells(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the scores of all clips, with their std if there are several seeds."""
    cells = _cells(scores["pooled"])
    if "seed_std" not in scores:
        return cells
    stds = _cells(scores["seed_std"])
    return tuple(f"{m} +- {s}" for m, s in zip(cells, stds, strict=True))


def _cells(scores: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{100 * scores[name]:.1f}" for name in SCORES)


def _speaker_list(speakers: Sequence[str]) -> str:
    shown = list(speakers[:4]) + (["..."] if len(speakers) > 4 else [])
    return ", ".join(shown)
