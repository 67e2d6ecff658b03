"""Is a store good? One HTML page that tells a researcher, and shows it."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmder_prep.quality.report import charts, counts, measures
from mmder_prep.quality.report.cards import clip_card
from mmder_prep.quality.report.measures import MEASURES, Measure
from mmder_prep.quality.report.text import brief, plain
from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError, StoreError
from mmder_store.schema import FORMAT_VERSION, STATUSES
from mmder_store.store import Store

WORST, ORDINARY = 24, 12
"""Contact sheets on a page; with them its size is bounded, however large the store."""
SEED = 0
MOST_GROUPS, MOST_RATES = 20, 12
MOST_SPEAKERS, MOST_EMOTIONS, SPEAKERS_A_TABLE = 96, 12, 12
"""Rows and columns of tables; what is cut off is counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One measure over all clips of a store."""

    measure: Measure
    known: int
    """Clips in which it could be measured."""
    low: float
    """Of the clips, 5 % are below."""
    middle: float
    high: float
    """Of the clips, 5 % are above."""
    beyond: int
    undrawn: int
    """Clips whose value is infinite."""
    chart: str
    """Base64 of an SVG; empty where all clips have one value."""


def write_report(
    store: Store,
    out: Path | None = None,
    *,
    worst: int = WORST,
    sampled: int = ORDINARY,
) -> Path:
    """Write the page; equal stores give equal bytes.

    Args:
        store: What is reported on.
        out: The file; ``NAME-report.html`` beside the store where not given.
        worst: Contact sheets of the worst clips, at most.
        sampled: Contact sheets of ordinary clips, at most.

    Returns:
        The file.

    Raises:
        SettingsError: If `out` lies in the store, or cannot be written.
        StoreError: If the store cannot be read.
    """
    folder = store.path.resolve()
    out = out or folder.with_name(f"{folder.name}-report.html")
    if out.resolve().is_relative_to(folder):
        msg = f"--out {out}: inside the store, which holds arrays alone; name another"
        raise SettingsError(msg)
    if out.is_dir():
        msg = f"--out {out}: a folder, expected the name of a file, as report.html"
        raise SettingsError(msg)
    page = render(store, worst=worst, sampled=sampled)
    try:
        with atomic_write(out) as draft:
            draft.write_text(page, encoding="utf-8")
    except OSError as error:
        msg = f"--out {out}: cannot be written ({error.strerror}); name another file"
        raise SettingsError(msg) from error
    return out


def render(store: Store, *, worst: int, sampled: int) -> str:
    """Give the page as text."""
    columns = store.columns
    status = columns["status"]
    unknown = sorted({str(s) for s in status} - set(STATUSES))
    if unknown:
        msg = f"store {store.path}: status {unknown[0]!r}, expected one of {STATUSES}"
        raise StoreError(msg)
    values = measured(store)
    bad = measures.worst_first(status, values, count=worst)
    usual = measures.ordinary_clips(status, values, count=sampled, seed=SEED)
    ok, odd = status == "ok", measures.beyond_any(values)
    groups = counts.group_reasons(
        columns["clip_id"], status, columns["reason"], most=MOST_GROUPS
    )
    noted = columns["note"] != ""
    notes = counts.group_reasons(
        columns["clip_id"][noted],
        np.full(int(noted.sum()), "ok"),
        columns["note"][noted],
        most=MOST_GROUPS,
    )
    crossing = counts.cross_table(
        columns["speaker"][ok],
        columns["emotion"][ok],
        rows=MOST_SPEAKERS,
        columns=MOST_EMOTIONS,
    )
    summaries = [summarise(m, values[m.name]) for m in MEASURES if m.name in values]
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
        statuses=[(s, int((status == s).sum())) for s in STATUSES],
        groups=groups,
        notes=notes,
        crossing=crossing,
        speaker_tables=list(_chunks(crossing.rows, SPEAKERS_A_TABLE)),
        most_clips=max((n for _, row in crossing.rows for n in row), default=0),
        pictures=counts.most_common(counts.video_formats(columns), most=MOST_RATES),
        sounds=counts.most_common(counts.audio_formats(columns), most=MOST_RATES),
        summaries=summaries,
        unmeasured=[s.measure.name for s in summaries if not s.known],
        crossed=sum(s.beyond > 0 for s in summaries),
        worst=[clip_card(store, row, values) for row in bad],
        ordinary=[clip_card(store, row, values) for row in usual],
        flagged=int((odd | ~ok).sum()),
        usual=int((ok & ~odd).sum()),
        seed=SEED,
        labels=[(s, *counts.count_labels(s, columns)) for s in store.spec.label_sets],
        protocols=[
            (p, counts.folds(p, columns["speaker"][ok])) for p in store.spec.protocols
        ],
    )


def measured(store: Store) -> measures.Values:
    """Measure every clip, one clip in memory at a time."""
    values = measures.column_measures(store.columns)
    if "frames" not in store:
        del values["clamped"], values["A/V offset"], values["face share"]
        return values
    found = {name: np.full(len(store), np.nan) for name in measures.CROP_MEASURES}
    for row, status in enumerate(store.columns["status"]):
        if status in ("failed", "no_video"):
            continue
        boxes_px = store.read("face_box_px", row).astype(np.float64)
        scores = store.read("face_score", row).astype(np.float64)
        for name, value in measures.crop_measures(boxes_px, scores).items():
            found[name][row] = value
    return values | found


def summarise(measure: Measure, values: Float64[np.ndarray, " clip"]) -> Summary:
    """Describe one measure over all clips, with its histogram where it varies."""
    known = values[~np.isnan(values)]
    finite = known[np.isfinite(known)]
    spread = [np.nan] * 3
    if len(known):
        spread = np.quantile(known, [0.05, 0.5, 0.95], method="nearest").tolist()
    varies = len(finite) and np.ptp(finite) > 1e-6
    svg = charts.histogram(measure, values) if varies else ""
    return Summary(
        measure=measure,
        known=len(known),
        low=spread[0],
        middle=spread[1],
        high=spread[2],
        beyond=int(measures.beyond(measure, values).sum()),
        undrawn=len(known) - len(finite),
        chart=b64encode(svg.encode()).decode(),
    )


def _chunks(rows: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
