"""Cards of the report page: the contact sheet of one clip, and what is unusual."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mmder_prep.quality.report import contact_sheets, measures
from mmder_prep.quality.report.measures import Measure
from mmder_prep.quality.report.text import DASH, brief, plain, without_paths
from mmder_store.settings import FRAMES_16
from mmder_store.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One clip on the page."""

    clip_id: str
    about: str
    """Speaker and emotion."""
    status: str
    reason: str
    note: str
    exceeded: tuple[str, ...]
    """Measures that exceed their limit, with value, limit and rank."""
    image: str
    """JPEG in base64. Empty if there is nothing to show."""
    alt: str
    """Alternative text of the image."""
    marks: tuple[tuple[str, str], ...]
    """Time and face score below each face."""


def clip_card(store: Store, row: int, values: measures.Values) -> Card:
    """Return the card of one clip, with its contact sheet."""
    columns = store.columns
    status = str(columns["status"][row])
    speaker, emotion = columns["speaker"][row], columns["emotion"][row]
    frames = stft = mfcc = None
    marks: tuple[tuple[str, str], ...] = ()
    if status not in ("failed", "no_video") and "frames" in store:
        frames = store.read("frames", row)
        marks = _marks(store, row)
    if status not in ("failed", "no_audio"):
        stft, mfcc = store.read("stft_16", row), store.read("mfcc_16", row)
        if not marks:
            windows_s = store.read("window_16_s", row)[::2]
            marks = tuple((f"{t:.2f} s", "") for t in windows_s.mean(axis=1))
    parts = [
        "eight faces" if frames is not None else "",
        "spectrogram and cepstrum of the audio" if stft is not None else "",
    ]
    empty = frames is None and stft is None
    image = b"" if empty else contact_sheets.contact_sheet(frames, stft, mfcc)
    return Card(
        clip_id=plain(columns["clip_id"][row]),
        about=plain(f"speaker {speaker}, {emotion or 'no emotion'}"),
        status=status,
        reason=plain(without_paths(columns["reason"][row])),
        note=plain(without_paths(columns["note"][row])),
        exceeded=tuple(
            _exceeded(m, values[m.name], row) for m in _worst_measures(values, row)
        ),
        image=b64encode(image).decode(),
        alt=" above ".join(filter(None, parts)),
        marks=marks,
    )


def _worst_measures(values: measures.Values, row: int) -> Iterable[Measure]:
    """Return the measures that a clip exceeds, the worst first."""
    exceeded = [
        m
        for m in measures.fit_limits(values)
        if measures.beyond(m, values[m.name])[row]
    ]
    return sorted(
        exceeded, key=lambda m: -float(measures.badness(m, values[m.name])[row])
    )


def _exceeded(measure: Measure, values: Float64[np.ndarray, " clip"], row: int) -> str:
    """Describe the value of a clip, its limit, and its rank among all clips."""
    rank = int((measure.excess(values) > measure.excess(values)[row]).sum()) + 1
    known = int((~np.isnan(values)).sum())
    unit = f" {measure.unit}" if measure.unit else ""
    return (
        f"{measure.name} {brief(float(values[row]))}{unit} "
        f"({measure.bound}; rank {rank} of {known})"
    )


def _marks(store: Store, row: int) -> tuple[tuple[str, str], ...]:
    """Return the time and the face score of every second frame."""
    times_s, scores = store.read("frame_time_s", row), store.read("face_score", row)
    first_repeated = FRAMES_16 - max(0, int(store.columns["clamped"][row]))
    return tuple(
        (
            "repeated" if frame >= first_repeated else f"{times_s[frame]:.2f} s",
            f"{scores[frame]:.2f}" if np.isfinite(scores[frame]) else DASH,
        )
        for frame in range(0, FRAMES_16, 2)
    )
