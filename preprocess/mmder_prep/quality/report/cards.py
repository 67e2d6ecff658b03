"""One clip as the page shows it: its contact sheet, and what is odd about it."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mmder_prep.quality.report import contact_sheets, measures
from mmder_prep.quality.report.measures import MEASURES, Measure
from mmder_prep.quality.report.text import DASH, brief, plain, without_paths
from mmder_store.settings import FRAMES_16
from mmder_store.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One clip as it is shown."""

    clip_id: str
    about: str
    status: str
    reason: str
    note: str
    why: tuple[str, ...]
    """Measures beyond their limit."""
    image: str
    """Base64 of a JPEG; empty where there is nothing to show."""
    alt: str
    marks: tuple[tuple[str, str], ...]
    """Time, and score of the face, of every face shown."""


def clip_card(store: Store, row: int, values: measures.Values) -> Card:
    """Gather what is shown of one clip, its contact sheet with it."""
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
        "the spectrogram and cepstrum of their sound" if stft is not None else "",
    ]
    empty = frames is None and stft is None
    image = b"" if empty else contact_sheets.contact_sheet(frames, stft, mfcc)
    return Card(
        clip_id=plain(columns["clip_id"][row]),
        about=plain(f"speaker {speaker}, {emotion or 'no emotion given'}"),
        status=status,
        reason=plain(without_paths(columns["reason"][row])),
        note=plain(without_paths(columns["note"][row])),
        why=tuple(_why(m, values[m.name], row) for m in _odd(values, row)),
        image=b64encode(image).decode(),
        alt=" above ".join(filter(None, parts)),
        marks=marks,
    )


def _odd(values: measures.Values, row: int) -> Iterable[Measure]:
    """Give the measures in which a clip is beyond the limit, the worst first."""
    bad = {
        m.name: float(measures.badness(m, values[m.name])[row])
        for m in MEASURES
        if m.name in values
    }
    odd = [
        m
        for m in MEASURES
        if m.name in values and measures.beyond(m, values[m.name])[row]
    ]
    return sorted(odd, key=lambda m: -bad[m.name])


def _why(measure: Measure, values: Float64[np.ndarray, " clip"], row: int) -> str:
    place = int((measure.excess(values) > measure.excess(values)[row]).sum()) + 1
    known = int((~np.isnan(values)).sum())
    unit = f" {measure.unit}" if measure.unit else ""
    return (
        f"{measure.name} {brief(float(values[row]))}{unit} "
        f"({measure.bound}; no. {place} of {known})"
    )


def _marks(store: Store, row: int) -> tuple[tuple[str, str], ...]:
    """Say of every second frame when it was shown, and how sure its face is."""
    times_s, scores = store.read("frame_time_s", row), store.read("face_score", row)
    repeated = FRAMES_16 - max(0, int(store.columns["clamped"][row]))
    return tuple(
        (
            "repeated" if frame >= repeated else f"{times_s[frame]:.2f} s",
            f"{scores[frame]:.2f}" if np.isfinite(scores[frame]) else DASH,
        )
        for frame in range(0, FRAMES_16, 2)
    )
