"""Draw the probabilities of a recording over time, above its faces and its audio."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmder_store.atomic_files import atomic_write
from mmder_train.inference.explain import file_name
from mmder_train.inference.timeline import ROWS, Timeline
from mmder_train.runtime import figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT_IN = 3.0
MAX_THUMBS = 12
"""Number of thumbnails in a picture."""
SPECTRUM_DB = (-65.0, 35.0)
"""Values of the first and the last color, as in `spectrogram_norms.FIXED_DB`."""
UNPREDICTED = "#bdbdbd"
"""Color of windows without a prediction."""


def draw_timeline(timeline: Timeline, folder: Path, *, model: str) -> list[Path]:
    """Write the picture of a recording in all formats, and return the files.

    Args:
        timeline: Windows of the recording.
        folder: Existing folder of the pictures, which are named after the recording.
        model: Description of the models, for the metadata.
    """
    paths = []
    with figure_style.paper_style():
        figure = timeline_figure(timeline)
        for image_format in figure_style.IMAGE_FORMATS:
            path = folder / f"{file_name(timeline.clip_id)}.{image_format}"
            with atomic_write(path) as draft:
                figure_style.save_figure(
                    figure,
                    draft,
                    image_format=image_format,
                    title=f"{timeline.clip_id}: probabilities over time",
                    description=model,
                )
            paths.append(path)
    return paths


def timeline_figure(timeline: Timeline) -> "Figure":
    """Draw a recording; call it inside `figure_style.paper_style`."""
    figure = figure_style.new_figure(figure_style.PAGE_IN, HEIGHT_IN)
    rows = figure.subplots(3, sharex=True, height_ratios=(4, 0.95, 1.1))
    _draw_probabilities(rows[0], timeline)
    _draw_thumbs(rows[1], timeline)
    _draw_spectrogram(rows[2], timeline)
    low_s, high_s = _span_s(timeline)
    rows[2].set_xlim(low_s, high_s)
    rows[2].set_xlabel("time, s")
    return figure


def _span_s(timeline: Timeline) -> tuple[float, float]:
    known = [t for bounds_s in timeline.bounds_s for t in bounds_s if np.isfinite(t)]
    low_s, high_s = min(known, default=0.0), max(known, default=1.0)
    return low_s, high_s if high_s > low_s else low_s + 1


def _draw_probabilities(axes: "Axes", timeline: Timeline) -> None:
    values = 100 * np.array(timeline.probabilities)
    middles_s = np.array([np.nanmean(bounds_s) for bounds_s in timeline.bounds_s])
    marker = "o" if len(middles_s) <= 90 else ""
    for index, name in enumerate(timeline.classes):
        axes.plot(
            middles_s,
            values[:, index],
            marker=marker,
            label=figure_style.plain(name),
            **figure_style.line_style(index),
        )
    for low_s, high_s, note in _lacking(timeline, middles_s):
        axes.axvspan(low_s, high_s, color=UNPREDICTED, alpha=0.6, linewidth=0)
        axes.text(
            (low_s + high_s) / 2,
            97,
            note,
            ha="center",
            va="top",
            rotation=90,
            color=figure_style.GRAY,
        )
    figure_style.score_axis(axes, "probability, percent")
    axes.set_ylim(0, 100)
    axes.set_title(figure_style.plain(timeline.clip_id), loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _lacking(
    timeline: Timeline, middles_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> Iterator[tuple[float, float, str]]:
    """Yield start, stop and note of successive windows that lack the same."""
    half_s = np.median(np.diff(middles_s)) / 2 if len(middles_s) > 1 else 0.5
    for note, group in groupby(range(len(middles_s)), lambda i: timeline.notes[i]):
        if note:
            places = list(group)
            yield (
                float(middles_s[places[0]] - half_s),
                float(middles_s[places[-1]] + half_s),
                note,
            )


def _draw_thumbs(axes: "Axes", timeline: Timeline) -> None:
    """Draw evenly spaced thumbnails, each at the time of its frame."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    low_s, high_s = _span_s(timeline)
    axes.set_ylim(0, 1)
    axes.set_axis_off()
    if not timeline.thumbs:
        axes.text(0.5, 0.5, "no video", transform=axes.transAxes, ha="center")
        return
    times_s = np.array([time_s for time_s, _ in timeline.thumbs])
    wanted_s = np.linspace(low_s, high_s, MAX_THUMBS + 1)[:-1]
    chosen = {int(np.abs(times_s - wanted).argmin()) for wanted in wanted_s}
    for index in sorted(chosen):
        time_s, thumb = timeline.thumbs[index]
        image = OffsetImage(thumb, zoom=0.5, resample=True)
        box = AnnotationBbox(
            image, (time_s, 0.5), box_alignment=(0, 0.5), frameon=False, pad=0
        )
        box.set_in_layout(False)
        axes.add_artist(box)


def _draw_spectrogram(axes: "Axes", timeline: Timeline) -> None:
    axes.set_yticks([])
    axes.set_ylabel("audio")
    if not timeline.spectra:
        axes.text(0.5, 0.5, "no audio", transform=axes.transAxes, ha="center")
        return
    low_s, step_s = timeline.spectra[0][0], timeline.step_s
    columns = [round((start_s - low_s) / step_s) for start_s, _ in timeline.spectra]
    values = np.full((ROWS, columns[-1] + 1), np.nan, dtype=np.float32)
    for column, (_, spectrum) in zip(columns, timeline.spectra, strict=True):
        values[:, column] = spectrum
    axes.imshow(
        values,
        extent=(low_s, low_s + step_s * values.shape[1], 0, 1),
        aspect="auto",
        origin="lower",
        cmap="viridis",
        vmin=SPECTRUM_DB[0],
        vmax=SPECTRUM_DB[1],
        interpolation="nearest",
    )
    axes.set_yticks([])
