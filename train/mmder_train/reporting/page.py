"""Rankings as Markdown, as CSV and as a self-contained HTML page."""

import csv
import io
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mmder_train.evaluation.confusion_plot import model_text
from mmder_train.evaluation.metrics import SCORES
from mmder_train.reporting import layout, plots
from mmder_train.reporting.comparison import RANDOM_WEIGHTS, Ranking, ResultRow
from mmder_train.reporting.cross_corpus import (
    CrossRow,
    CrossScore,
    cross_table,
    dropped_lines,
)
from mmder_train.reporting.published_results import Published

TEMPLATE = "templates/comparison.html.jinja"


def markdown(rankings: Sequence[Ranking]) -> str:
    """Return the tables as Markdown."""
    parts = [f"# {layout.TITLE}", layout.LEGEND]
    for section in map(layout.section, rankings):
        ranking = section.ranking
        parts.append(f"## {_escape(ranking.labels)}: {len(ranking.classes)} classes")
        parts += [_escape(warning) for warning in ranking.warnings]
        rows = [(*line.cells, section.note_number(line)) for line in section.lines]
        parts.append(_markdown_table(layout.COLUMNS, rows))
        parts.append(f"{layout.RECALL}:")
        recall = [(r.title, *layout.recall_cells(r)) for r in ranking.rows]
        parts.append(_markdown_table(("method", *ranking.classes), recall))
        if section.not_comparable:
            parts.append(f"{layout.NOT_COMPARABLE}:")
            rows = [
                (*line.short_cells(), section.note_number(line))
                for line in section.not_comparable
            ]
            parts.append(_markdown_table(layout.SHORT_COLUMNS, rows))
        numbered = enumerate(map(_escape, section.notes), start=1)
        parts.append("\n".join(f"{number}. {note}" for number, note in numbered))
    cross = cross_table(rankings)
    if cross is not None:
        parts += [f"## {layout.CROSS_CORPUS}", layout.CROSS_LEGEND]
        parts.append(_markdown_table(*layout.cross_rows(cross)))
        dropped = map(_escape, dropped_lines(cross))
        parts.append("\n".join(f"- {line}" for line in dropped))
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        "| " + " | ".join(map(_escape, row)) + " |"
        for row in (head, ["---"] * len(head), *rows)
    )


def _escape(text: str) -> str:
    """Escape markup and the column separator, and remove line breaks."""
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|")):
        text = text.replace(character, escaped)
    return " ".join(text.split())


def table(rankings: Sequence[Ranking]) -> str:
    """Return all rows as CSV, with one score per column, in percent."""
    classes = sorted({c for r in rankings for c in r.classes})
    head = ["label_set", "kind", "method", "modality", "source", "classes"]
    head += ["speaker_independent", "protocol", "folds", "clips", "speakers", "seeds"]
    for score in SCORES:
        head += [score, *(f"{score}_{part}" for part in ("low", "high", "seed_std"))]
        head += [f"{score}_fold_mean", f"{score}_fold_std"]
    head += [f"recall_{c}{part}" for c in classes for part in ("", "_low", "_high")]
    head += ["note", "train_store", "test_store"]
    text = io.StringIO()
    writer = csv.DictWriter(text, head, restval="", lineterminator="\n")
    writer.writeheader()
    for ranking in rankings:
        for row in ranking.rows:
            writer.writerow(_own_record(ranking, row))
        for published in (*ranking.published, *ranking.not_comparable):
            writer.writerow(_published_record(published))
    cross = cross_table(rankings)
    for crossed in () if cross is None else cross.rows:
        for cell in filter(None, crossed.scores):
            writer.writerow(_cross_record(crossed, cell))
    return text.getvalue()


def _own_record(ranking: Ranking, row: ResultRow) -> dict[str, Any]:
    first = row.first
    record: dict[str, Any] = {
        "label_set": ranking.labels,
        "kind": "foreign" if row.is_foreign else "own",
        "method": row.title,
        "modality": row.modality,
        "source": " ".join(row.sources),
        "classes": len(ranking.classes),
        "speaker_independent": row.speaker_independent,
        "protocol": row.protocol,
        "folds": " ".join(map(str, row.folds)),
        "clips": len(first.clip_id),
        "speakers": len(set(first.speaker)),
        "seeds": len(row.runs),
        "note": "; ".join(first.warnings),
    }
    for i, score in enumerate(SCORES):
        record[score] = _exact(row.scores[i])
        record[f"{score}_fold_mean"] = _exact(row.fold_mean[i])
        record[f"{score}_fold_std"] = _exact(row.fold_std[i])
        if row.intervals:
            low, high = row.intervals[i]
            record |= {f"{score}_low": _exact(low), f"{score}_high": _exact(high)}
        if row.seed_std:
            record[f"{score}_seed_std"] = _exact(row.seed_std[i])
    for name, recall, interval in zip(
        ranking.classes, row.recall.tolist(), row.recall_intervals, strict=True
    ):
        record[f"recall_{name}"] = "" if recall != recall else _exact(recall)
        if interval:
            ends = dict(zip(("low", "high"), map(_exact, interval), strict=True))
            record |= {f"recall_{name}_{end}": text for end, text in ends.items()}
    return record


def _cross_record(row: CrossRow, score: CrossScore) -> dict[str, Any]:
    own = row.own
    record: dict[str, Any] = {
        "label_set": own.first.config.get("labels"),
        "kind": "cross-corpus",
        "method": own.title,
        "modality": own.modality,
        "source": " ".join(r.run for r in own.runs),
        "classes": len(score.classes),
        "speaker_independent": score.speaker_independent,
        "clips": score.clips,
        "speakers": score.speakers,
        "seeds": len(own.runs),
        "train_store": row.train_store,
        "test_store": score.test_store,
    }
    for i, name in enumerate(("war", "uar")):
        record[name] = _exact((score.war, score.uar)[i])
        if score.intervals:
            low, high = score.intervals[i]
            record |= {f"{name}_low": _exact(low), f"{name}_high": _exact(high)}
    return record


def _published_record(row: Published) -> dict[str, Any]:
    return {
        "label_set": row.setting.labels or "",
        "kind": "published",
        "method": row.method,
        "modality": row.modality,
        "source": row.source,
        "classes": row.setting.classes or "",
        "speaker_independent": row.setting.speaker_independent,
        "protocol": row.setting.protocol or "",
        "war": "" if row.war is None else f"{row.war:.2f}",
        "uar": "" if row.uar is None else f"{row.uar:.2f}",
        "note": row.setting.note,
    }


def _exact(fraction: float) -> str:
    """Return a fraction in percent with four decimals."""
    return f"{100 * fraction:.4f}"


def html(rankings: Sequence[Ranking]) -> str:
    """Return a page with tables and embedded images; it loads no other file."""
    from jinja2 import Environment, StrictUndefined

    source = (
        files("mmder_train.reporting").joinpath(TEMPLATE).read_text(encoding="utf-8")
    )
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sections = [
        {
            "tables": layout.section(ranking),
            "scores": _data_url(plots.scores(ranking)),
            "confusions": [
                (_caption(row), _data_url(plots.confusion(row, ranking.classes)))
                for row in ranking.rows
            ],
        }
        for ranking in rankings
    ]
    cross = cross_table(rankings)
    columns, rows = ([], []) if cross is None else layout.cross_rows(cross)
    page = environment.from_string(source).render(
        cross_title=layout.CROSS_CORPUS,
        cross_legend=layout.CROSS_LEGEND,
        cross_columns=columns,
        cross_rows=rows,
        cross_dropped=[] if cross is None else dropped_lines(cross),
        title=layout.TITLE,
        legend=layout.LEGEND,
        random_weights=RANDOM_WEIGHTS,
        columns=layout.COLUMNS,
        recall_cells=layout.recall_cells,
        short_columns=layout.SHORT_COLUMNS,
        recall=layout.RECALL,
        not_comparable=layout.NOT_COMPARABLE,
        sections=sections,
    )
    return page + "\n"


def _caption(row: ResultRow) -> str:
    """Return the caption of a confusion matrix."""
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    model = model_text(row.first.config)
    scores = f"WAR {row.war:.1%}, UAR {row.uar:.1%}{seeds}"
    return "; ".join(filter(None, [row.title, scores, model]))


def _data_url(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + b64encode(svg).decode()
