"""HTML page on the quality of a store."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmder_prep.quality.coverage import coverage
from mmder_prep.quality.report import charts, counts, measures
from mmder_prep.quality.report.cards import clip_card
from mmder_prep.quality.report.measures import Measure
from mmder_prep.quality.report.text import brief, plain
from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError, StoreError
from mmder_store.schema import FORMAT_VERSION, STATUSES
from mmder_store.store import Store

NUM_WORST, NUM_ORDINARY = 24, 12
"""Number of contact sheets, which bounds the size of the page for large stores."""
SEED = 0
MAX_GROUPS, MAX_FORMATS = 20, 12
MAX_SPEAKERS, MAX_EMOTIONS, SPEAKERS_PER_TABLE = 96, 12, 12
"""Maximum numbers of table rows and columns; the page counts the hidden ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One measure over all clips of a store."""

    measure: Measure
    known: int
    """Number of clips with a value."""
    low: float
    """5th percentile."""
    median: float
    high: float
    """95th percentile."""
    beyond: int
    """Number of clips beyond the limit."""
    infinite: int
    """Number of clips with an infinite value, which the chart omits."""
    chart: str
    """SVG in base64. Empty if all clips have the same value."""


def write_report(
    store: Store,
    out: Path | None = None,
    *,
    worst: int = NUM_WORST,
    sampled: int = NUM_ORDINARY,
) -> Path:
    """Write the page; equal stores yield equal bytes.

    Args:
        store: The store to report on.
        out: The file to write. Default: ``NAME-report.html`` next to the store.
        worst: Maximum number of contact sheets of the worst clips.
        sampled: Maximum number of contact sheets of ordinary clips.

    Returns:
        The file that was written.

    Raises:
        SettingsError: If `out` is inside the store, or cannot be written.
        StoreError: If the store cannot be read.
    """
    folder = store.path.resolve()
    out = out or folder.with_name(f"{folder.name}-report.html")
    if out.resolve().is_relative_to(folder):
        msg = f"--out {out}: is inside the store; choose a file outside of it"
        raise SettingsError(msg)
    if out.is_dir():
        msg = f"--out {out}: is a folder; expected a file name, e.g. report.html"
        raise SettingsError(msg)
    page = render(store, worst=worst, sampled=sampled)
    try:
        with atomic_write(out) as draft:
            draft.write_text(page, encoding="utf-8")
    except OSError as error:
        msg = f"--out {out}: cannot be written ({error.strerror}); choose another file"
        raise SettingsError(msg) from error
    return out


def render(store: Store, *, worst: int, sampled: int) -> str:
    """Return the page as text."""
    columns = store.columns
    status = columns["status"]
    unknown = sorted({str(s) for s in status} - set(STATUSES))
    if unknown:
        msg = f"store {store.path}: status {unknown[0]!r}, expected one of {STATUSES}"
        raise StoreError(msg)
    values = measured(store)
    worst_rows = measures.worst_first(status, values, count=worst)
    drawn_rows = measures.ordinary_clips(status, values, count=sampled, seed=SEED)
    ok, exceeds = status == "ok", measures.beyond_any(values)
    groups = counts.group_reasons(
        columns["clip_id"], status, columns["reason"], limit=MAX_GROUPS
    )
    has_note = columns["note"] != ""
    notes = counts.group_reasons(
        columns["clip_id"][has_note],
        np.full(int(has_note.sum()), "ok"),
        columns["note"][has_note],
        limit=MAX_GROUPS,
    )
    crossing = counts.cross_table(
        columns["speaker"][ok],
        columns["emotion"][ok],
        rows=MAX_SPEAKERS,
        columns=MAX_EMOTIONS,
    )
    summaries = [summarize(m, values[m.name]) for m in measures.fit_limits(values)]
    environment = Environment(
        loader=PackageLoader("mmder_prep.quality.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "brief": brief}
    return environment.get_template("report.html.j2").render(
        name=store.path.resolve().name,
        versions=store.versions if isinstance(store.versions, Mapping) else {},
        store=store,
        spec=store.spec,
        format=FORMAT_VERSION,
        megabytes=sum(store.size_bytes().values()) / 1e6,
        speakers=len(set(columns["speaker"])),
        minutes=float(np.nansum(values["duration"])) / 60,
        coverage=coverage(columns, store.spec.settings),
        statuses=[(s, int((status == s).sum())) for s in STATUSES],
        groups=groups,
        notes=notes,
        crossing=crossing,
        speaker_tables=list(_chunks(crossing.rows, SPEAKERS_PER_TABLE)),
        most_clips=max((n for _, row in crossing.rows for n in row), default=0),
        video_formats=counts.most_common(
            counts.video_formats(columns), limit=MAX_FORMATS
        ),
        audio_formats=counts.most_common(
            counts.audio_formats(columns), limit=MAX_FORMATS
        ),
        summaries=summaries,
        unmeasured=[s.measure.name for s in summaries if not s.known],
        exceeded=sum(s.beyond > 0 for s in summaries),
        worst=[clip_card(store, row, values) for row in worst_rows],
        ordinary=[clip_card(store, row, values) for row in drawn_rows],
        flagged=int((exceeds | ~ok).sum()),
        num_ordinary=int((ok & ~exceeds).sum()),
        seed=SEED,
        labels=[(s, *counts.count_labels(s, columns)) for s in store.spec.label_sets],
        protocols=[
            (p, counts.folds(p, columns["speaker"][ok])) for p in store.spec.protocols
        ],
    )


def measured(store: Store) -> measures.Values:
    """Return the measures of every clip, with one clip in memory at a time."""
    values = measures.column_measures(store.columns)
    if "frames" not in store:
        del values["clamped"], values["A/V offset"], values["face fraction"]
        return values
    crops = {name: np.full(len(store), np.nan) for name in measures.CROP_MEASURES}
    for row, status in enumerate(store.columns["status"]):
        if status in ("failed", "no_video"):
            continue
        boxes_px = store.read("face_box_px", row).astype(np.float64)
        scores = store.read("face_score", row).astype(np.float64)
        for name, value in measures.crop_measures(boxes_px, scores).items():
            crops[name][row] = value
    return values | crops


def summarize(measure: Measure, values: Float64[np.ndarray, " clip"]) -> Summary:
    """Summarize one measure over all clips, with a histogram if values differ."""
    known = values[~np.isnan(values)]
    finite = known[np.isfinite(known)]
    quantiles = [np.nan] * 3
    if len(known):
        quantiles = np.quantile(known, [0.05, 0.5, 0.95], method="nearest").tolist()
    varies = len(finite) and np.ptp(finite) > 1e-6
    svg = charts.histogram(measure, values) if varies else ""
    return Summary(
        measure=measure,
        known=len(known),
        low=quantiles[0],
        median=quantiles[1],
        high=quantiles[2],
        beyond=int(measures.beyond(measure, values).sum()),
        infinite=len(known) - len(finite),
        chart=b64encode(svg.encode()).decode(),
    )


def _chunks(rows: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    """Yield the rows in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
