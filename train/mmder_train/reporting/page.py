"""Rankings as Markdown, as CSV and as one HTML page that needs no other file."""

import csv
import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from mmder_train.evaluation.metrics import DRAWS
from mmder_train.reporting import plots
from mmder_train.reporting.comparison import Pair, Ranking, ResultRow
from mmder_train.reporting.published_results import Published

TEMPLATE = "templates/comparison.html.jinja"
COLUMNS = (
    "method",
    "modality",
    "source",
    "classes",
    "speaker-independent",
    "tested",
    "seeds",
    "WAR [95 %]",
    "UAR [95 %]",
    "WAR, mean of folds",
    "UAR, mean of folds",
    "note",
)
BRIEF = (*COLUMNS[:5], "WAR", "UAR", "note")
"""Columns of rows that are not comparable."""
ELSEWHERE = (
    "Published on the same corpus over other classes, or over classes that were not "
    "confirmed; not comparable"
)
MEANING = (
    "WAR: share of clips that are right. UAR: mean over classes of the share of their "
    "clips that are right. Percent, of all clips of all tested folds (pooled); "
    f"in brackets the middle 95 % of {DRAWS} resamples of the speakers; behind +- the "
    "spread over seeds. Mean of folds: mean and spread of the folds' own scores. "
    "Published rows are as printed; under another protocol a number is another number."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row as it is shown."""

    ours: bool
    cells: tuple[str, ...]
    """One a column, but for the note."""
    remark: str

    def short_cells(self) -> tuple[str, ...]:
        """Give the cells that a published row fills."""
        return self.cells[:5] + self.cells[7:9]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One label set as it is shown."""

    ranking: Ranking
    lines: tuple[Line, ...]
    elsewhere: tuple[Line, ...]
    remarks: tuple[str, ...]
    """What the numbers of notes stand for, from 1."""

    def note(self, line: Line) -> str:
        """Give the number of a line's remark."""
        return str(self.remarks.index(line.remark) + 1) if line.remark else ""


def section(ranking: Ranking) -> Section:
    """Lay out one label set."""
    shown = tuple(lines(ranking))
    elsewhere = tuple(map(published, ranking.elsewhere))
    remarks = dict.fromkeys(line.remark for line in shown + elsewhere if line.remark)
    return Section(
        ranking=ranking, lines=shown, elsewhere=elsewhere, remarks=tuple(remarks)
    )


def lines(ranking: Ranking) -> list[Line]:
    """Give the rows over one label set: ours, chance, then published ones."""
    most = max(ranking.rows, key=lambda e: len(e.first.clip_id))
    chance = Line(
        ours=True,
        cells=(
            "always the largest class",
            "",
            "chance",
            str(len(ranking.classes)),
            "",
            _tested(most),
            "",
            *(_percent(share) for share in most.chance),
            "",
            "",
        ),
        remark="",
    )
    return [
        *(_own(entry, len(ranking.classes)) for entry in ranking.rows),
        chance,
        *map(published, ranking.published),
    ]


def _own(entry: ResultRow, classes: int) -> Line:
    intervals = entry.intervals or (None, None)
    spreads = entry.seed_std or (None, None)
    scores = zip((entry.war, entry.uar), intervals, spreads, strict=True)
    folds = zip(entry.fold_mean, entry.fold_std, strict=True)
    return Line(
        ours=True,
        cells=(
            entry.title,
            entry.modality,
            ", ".join(t.run for t in entry.tested),
            str(classes),
            "yes",
            _tested(entry),
            str(len(entry.tested)),
            *(_score(*score) for score in scores),
            *(f"{_percent(mean)} +- {_percent(std)}" for mean, std in folds),
        ),
        remark="; ".join(entry.first.notes),
    )


def published(row: Published) -> Line:
    """Give a published row as it is shown."""
    setting = row.setting
    return Line(
        ours=False,
        cells=(
            row.method,
            row.modality,
            row.source,
            str(setting.classes or "?"),
            setting.independent,
            "",
            "",
            f"{row.war:.2f}",
            "-" if row.uar is None else f"{row.uar:.2f}",
            "",
            "",
        ),
        remark=setting.remark,
    )


def _tested(entry: ResultRow) -> str:
    first, *more = entry.folds
    run = [*range(first, first + len(entry.folds))]
    names = (
        f"{first}-{run[-1]}" if entry.folds == run else ", ".join(map(str, entry.folds))
    )
    folds = f"folds {names}" if more else f"fold {first}"
    speakers = len(set(entry.first.speaker))
    return (
        f"{len(entry.first.clip_id)} clips, {speakers} speakers, {folds} of "
        f"{entry.protocol}"
    )


def _score(value: float, interval: Pair | None, spread: float | None) -> str:
    text = _percent(value)
    if spread is not None:
        text += f" +- {_percent(spread)}"
    if interval is not None:
        text += f" [{_percent(interval[0])}, {_percent(interval[1])}]"
    return text


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def markdown(rankings: Sequence[Ranking]) -> str:
    """Write the tables as Markdown."""
    parts = ["# Results beside published ones", MEANING]
    for found in map(section, rankings):
        ranking = found.ranking
        parts.append(f"## {_safe(ranking.labels)}: {len(ranking.classes)} classes")
        parts += [_safe(note) for note in ranking.notes]
        rows = [(*line.cells, found.note(line)) for line in found.lines]
        parts.append(_table(COLUMNS, rows))
        parts.append("Share of each class' clips that are right, percent:")
        recall = [(e.title, *map(_recall, e.recall.tolist())) for e in ranking.rows]
        parts.append(_table(("method", *ranking.classes), recall))
        if found.elsewhere:
            parts.append(f"{ELSEWHERE}:")
            rows = [(*line.short_cells(), found.note(line)) for line in found.elsewhere]
            parts.append(_table(BRIEF, rows))
        numbered = enumerate(map(_safe, found.remarks), start=1)
        parts.append("\n".join(f"{n}. {remark}" for n, remark in numbered))
    return "\n\n".join(filter(None, parts)) + "\n"


def _recall(share: float) -> str:
    return "-" if share != share else _percent(share)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        "| " + " | ".join(map(_safe, row)) + " |"
        for row in (head, ["---"] * len(head), *rows)
    )


def _safe(text: str) -> str:
    """Keep a text in its cell, and free of markup."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|")):
        text = text.replace(sign, instead)
    return " ".join(text.split())


def table(rankings: Sequence[Ranking]) -> str:
    """Write all rows as CSV, one score a column, in percent."""
    every = sorted({c for r in rankings for c in r.classes})
    head = ["label_set", "kind", "method", "modality", "source", "classes"]
    head += ["speaker_independent", "protocol", "folds", "clips", "speakers", "seeds"]
    for score in ("war", "uar"):
        head += [score, *(f"{score}_{part}" for part in ("low", "high", "seed_std"))]
        head += [f"{score}_fold_mean", f"{score}_fold_std"]
    head += [*(f"recall_{c}" for c in every), "remark"]
    text = io.StringIO()
    writer = csv.DictWriter(text, head, restval="", lineterminator="\n")
    writer.writeheader()
    for ranking in rankings:
        for entry in ranking.rows:
            writer.writerow(_own_row(ranking, entry))
        for row in (*ranking.published, *ranking.elsewhere):
            writer.writerow(_published_row(row))
    return text.getvalue()


def _own_row(ranking: Ranking, entry: ResultRow) -> dict[str, Any]:
    first = entry.first
    row: dict[str, Any] = {
        "label_set": ranking.labels,
        "kind": "own",
        "method": entry.title,
        "modality": entry.modality,
        "source": " ".join(t.run for t in entry.tested),
        "classes": len(ranking.classes),
        "speaker_independent": "yes",
        "protocol": entry.protocol,
        "folds": " ".join(map(str, entry.folds)),
        "clips": len(first.clip_id),
        "speakers": len(set(first.speaker)),
        "seeds": len(entry.tested),
        "remark": "; ".join(first.notes),
    }
    for i, score in enumerate(("war", "uar")):
        row[score] = _exact((entry.war, entry.uar)[i])
        row[f"{score}_fold_mean"] = _exact(entry.fold_mean[i])
        row[f"{score}_fold_std"] = _exact(entry.fold_std[i])
        if entry.intervals:
            low, high = entry.intervals[i]
            row |= {f"{score}_low": _exact(low), f"{score}_high": _exact(high)}
        if entry.seed_std:
            row[f"{score}_seed_std"] = _exact(entry.seed_std[i])
    for name, share in zip(ranking.classes, entry.recall.tolist(), strict=True):
        row[f"recall_{name}"] = "" if share != share else _exact(share)
    return row


def _published_row(row: Published) -> dict[str, Any]:
    return {
        "label_set": row.setting.labels or "",
        "kind": "published",
        "method": row.method,
        "modality": row.modality,
        "source": row.source,
        "classes": row.setting.classes or "",
        "speaker_independent": row.setting.independent,
        "war": f"{row.war:.2f}",
        "uar": "" if row.uar is None else f"{row.uar:.2f}",
        "remark": row.setting.remark,
    }


def _exact(share: float) -> str:
    return f"{100 * share:.4f}"


def html(rankings: Sequence[Ranking]) -> str:
    """Write one page with tables and pictures, all inside of it."""
    from jinja2 import Environment, StrictUndefined

    source = (
        files("mmder_train.reporting").joinpath(TEMPLATE).read_text(encoding="utf-8")
    )
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sections = [
        {
            "found": section(ranking),
            "scores": _picture(plots.scores(ranking)),
            "confusions": [
                (e.title, _picture(plots.confusion(e, ranking.classes)))
                for e in ranking.rows
            ],
        }
        for ranking in rankings
    ]
    page = environment.from_string(source).render(
        columns=COLUMNS,
        brief=BRIEF,
        meaning=MEANING,
        not_comparable=ELSEWHERE,
        sections=sections,
    )
    return page + "\n"


def _picture(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + b64encode(svg).decode()
