"""Tables of a ranking as text, shared by the Markdown and the HTML report."""

from dataclasses import dataclass

from mmder_train.evaluation.metrics import DRAWS, SCORES, Interval
from mmder_train.reporting.comparison import Ranking, ResultRow
from mmder_train.reporting.cross_corpus import CrossTable, Pair
from mmder_train.reporting.published_results import Published

COLUMNS = (
    "method",
    *(f"{title} [95 %]" for title in SCORES.values()),
    "modality",
    "source",
    "classes",
    "speaker-independent",
    "tested",
    "seeds",
    *(f"{title}, mean of folds" for title in SCORES.values()),
    "note",
)
"""Columns of the table of comparable results. The scores follow the name, so that a
narrow screen shows them."""
SHORT_COLUMNS = ("method", "WAR", "UAR", *COLUMNS[4:8], "note")
"""Columns of the table of results that are not comparable."""
TITLE = "Comparison with published results"
RECALL = "Recall of each class [95 %], percent"
NOT_COMPARABLE = (
    "Published results on the same corpus that are not comparable, because their "
    "classes or folds differ, or their classes were not confirmed"
)
LEGEND = (
    "WAR: fraction of clips that are classified correctly. UAR: mean over classes of "
    "the fraction of their clips that are classified correctly. Weighted F1: mean over "
    "classes of the F1 score, weighted with their clips. All are in percent, over all "
    "clips of all tested folds (pooled). In brackets: the middle 95 % of "
    f"{DRAWS} resamples of the speakers. After +-: the standard deviation over seeds. "
    "Mean of folds: mean and standard deviation of the scores of the folds. Published "
    "rows are as printed; do not compare numbers of different protocols directly."
)

CROSS_CORPUS = "Cross-corpus results"
CROSS_LEGEND = (
    "A model is trained on all clips of the store in the row, and tested on all clips "
    "of the store in the column, over the classes that both have. Outputs of other "
    "classes are dropped before the largest is taken. On its own store, a method has "
    "the scores of its folds. Each cell has WAR and UAR in percent, with 95 % "
    "intervals over the test speakers, then the WAR and UAR of always predicting the "
    "largest class, and the number of classes."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of a table."""

    is_own: bool
    """True for runs and for chance, False for published results."""
    cells: tuple[str, ...]
    """One text per column except the note."""
    note: str

    def short_cells(self) -> tuple[str, ...]:
        """Return the cells of `SHORT_COLUMNS` except the note."""
        return (*self.cells[:3], *self.cells[4:8])


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Tables and numbered notes of one label set."""

    ranking: Ranking
    lines: tuple[Line, ...]
    """Rows over the classes of the label set."""
    not_comparable: tuple[Line, ...]
    """Published rows over other classes."""
    notes: tuple[str, ...]
    """Distinct notes of all rows, numbered from 1."""

    def note_number(self, line: Line) -> str:
        """Return the number of a row's note, empty if it has none."""
        return str(self.notes.index(line.note) + 1) if line.note else ""


def section(ranking: Ranking) -> Section:
    """Return the tables and notes of one label set."""
    comparable = tuple(lines(ranking))
    not_comparable = tuple(map(published_line, ranking.not_comparable))
    notes = dict.fromkeys(
        line.note for line in comparable + not_comparable if line.note
    )
    return Section(
        ranking=ranking,
        lines=comparable,
        not_comparable=not_comparable,
        notes=tuple(notes),
    )


def lines(ranking: Ranking) -> list[Line]:
    """Return the rows over one label set: runs, chance, then published results."""
    largest = max(ranking.rows, key=lambda row: len(row.first.clip_id))
    chance = Line(
        is_own=True,
        cells=(
            "always the largest class",
            *(percent(fraction) for fraction in largest.chance),
            "",
            "chance",
            str(len(ranking.classes)),
            "",
            _tested(largest),
            "",
            *("" for _ in SCORES),
        ),
        note="",
    )
    return [
        *(_own_line(row, len(ranking.classes)) for row in ranking.rows),
        chance,
        *map(published_line, ranking.published),
    ]


def _own_line(row: ResultRow, classes: int) -> Line:
    intervals = row.intervals or (None,) * len(SCORES)
    seed_std = row.seed_std or (None,) * len(SCORES)
    scores = zip(row.scores, intervals, seed_std, strict=True)
    folds = zip(row.fold_mean, row.fold_std, strict=True)
    return Line(
        is_own=True,
        cells=(
            row.title,
            *(_score(*score) for score in scores),
            row.modality,
            ", ".join(row.sources),
            str(classes),
            row.speaker_independent,
            _tested(row),
            str(len(row.runs)),
            *(f"{percent(mean)} +- {percent(std)}" for mean, std in folds),
        ),
        note="; ".join([*_random_note(row), *_foreign_note(row), *row.first.warnings]),
    )


def _random_note(row: ResultRow) -> list[str]:
    if not row.has_random_encoder:
        return []
    return [
        "random weights: the encoder is frozen and was never trained, so its scores "
        "are not comparable with published results"
    ]


def _foreign_note(row: ResultRow) -> list[str]:
    foreign = row.first.foreign
    if foreign is None:
        return []
    checked = (
        f"no training clip in {foreign.get('train_list')} is of a tested speaker"
        if foreign.get("speakers_checked")
        else "it was not checked that all training clips are of other speakers"
    )
    return [f"predicted by another program, read from {foreign.get('file')}; {checked}"]


def published_line(row: Published) -> Line:
    """Return the table row of a published result."""
    setting = row.setting
    return Line(
        is_own=False,
        cells=(
            row.method,
            *("-" if score is None else f"{score:.2f}" for score in (row.war, row.uar)),
            "-",
            row.modality,
            row.source,
            str(setting.classes or "?"),
            setting.speaker_independent,
            setting.protocol or "",
            "",
            *("" for _ in SCORES),
        ),
        note=setting.note,
    )


def _tested(row: ResultRow) -> str:
    """Return the number of tested clips and speakers, and the folds."""
    first, *others = row.folds
    consecutive = [*range(first, first + len(row.folds))]
    numbers = (
        f"{first}-{consecutive[-1]}"
        if row.folds == consecutive
        else ", ".join(map(str, row.folds))
    )
    folds = f"folds {numbers}" if others else f"fold {first}"
    speakers = len(set(row.first.speaker))
    return (
        f"{len(row.first.clip_id)} clips, {speakers} speakers, {folds} of "
        f"{row.protocol}"
    )


def recall_cells(row: ResultRow) -> list[str]:
    """Return the recall of each class with its interval; a dash for an empty class."""
    return [
        "-" if value != value else _score(value, interval, None)
        for value, interval in zip(
            row.recall.tolist(), row.recall_intervals, strict=True
        )
    ]


def cross_rows(table: CrossTable) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows of the table of cross-corpus results."""
    rows = []
    for row in table.rows:
        own, own_key = row.own, str(row.own.first.store.get("sha256"))
        cells = []
        for key, score in zip(table.keys, row.scores, strict=True):
            if score is not None:
                remark = score.speaker_independent
                mark = "" if remark == "yes" else f"; speaker-independent: {remark}"
                cells.append(
                    _cross_cell((score.war, score.uar), score.intervals, score.chance)
                    + f"; {len(score.classes)} classes{mark}"
                )
            elif key == own_key:
                cells.append(
                    _cross_cell(
                        own.scores[:2],
                        own.intervals and own.intervals[:2],
                        own.chance[:2],
                    )
                    + f"; {len(own.first.classes)} classes, folds"
                )
            else:
                cells.append("-")
        rows.append([row.train_store, own.title, *cells])
    return ["trained on", "method", *(f"on {name}" for name in table.stores)], rows


def _cross_cell(scores: Pair, intervals: tuple[Pair, Pair] | None, chance: Pair) -> str:
    ends = intervals or (None, None)
    war, uar = (_score(s, e, None) for s, e in zip(scores, ends, strict=True))
    guess = " / ".join(map(percent, chance))
    return f"{war} / {uar}; chance {guess}"


def _score(value: float, interval: Interval | None, std: float | None) -> str:
    text = percent(value)
    if std is not None:
        text += f" +- {percent(std)}"
    if interval is not None:
        text += f" [{percent(interval[0])}, {percent(interval[1])}]"
    return text


def score_text(row: ResultRow) -> str:
    """Return a line with the scores over all clips, and their intervals."""
    intervals = row.intervals or (None,) * len(SCORES)
    texts = ", ".join(
        f"{title} {_score(score, interval, None)}"
        for title, score, interval in zip(
            SCORES.values(), row.scores, intervals, strict=True
        )
    )
    scope = " (intervals: 95 % over speakers)" if row.intervals else ""
    return f"{texts}, percent{scope}"


def percent(fraction: float) -> str:
    """Return a fraction in percent with one decimal."""
    return f"{100 * fraction:.1f}"
