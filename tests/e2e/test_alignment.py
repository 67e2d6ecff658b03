"""The core claim from outside: clips through the program, and only the store is read.

Frame k of every clip shows k and every tenth of a second has its own tone. Rates,
containers and start offsets are crossed; what the arrays show is compared with the
design of the clips, never with what a decoder says.
"""

import csv
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmder_store import Store
from run_cli import run
from synth import Synth, number_in, sounds_like, write

HOP_S = 0.01
ROUNDING_S = 0.0011
"""Containers that count in milliseconds."""
KINDS: dict[str, dict[str, Any]] = {
    "mp4": {"video": "libx264", "audio": "aac", "rate_hz": 48_000},
    "mkv": {"video": "libx264", "audio": "flac"},
    "webm": {"video": "libvpx", "audio": "libopus", "rate_hz": 48_000},
    "flv": {"video": "flv", "audio": "libmp3lame"},
    "avi": {"video": "mpeg4", "audio": "pcm_s16le", "rate_hz": 22_050},
    "mpg": {"video": "mpeg1video", "audio": "mp2", "layout": "mono"},
}
RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
    "60": Fraction(60),
}
RNG = np.random.default_rng(11)
ANY = tuple(np.cumsum(RNG.uniform(0.005, 0.12, 60)) - 0.005)
"""Times of frames at a rate that varies."""
LEFT_OUT = tuple(np.flatnonzero(RNG.uniform(size=86) < 0.7) / 25)
"""The same for AVI, which counts frames: 25 a second, three of ten left out."""


def designs() -> dict[str, Synth]:
    """Give every clip.

    AVI cannot say that a stream begins late, and MPEG-1 knows even rates only.
    """
    small: dict[str, Any] = {"size_px": (96, 64), "layout": "mono"}
    found = {}
    for kind, codecs in KINDS.items():
        for seed, (rate, fps) in enumerate(RATES.items()):
            spec = {"suffix": kind, "seed": seed, **small, **codecs}
            found[f"{kind} {rate}"] = Synth(fps=fps, **spec)
        varied = LEFT_OUT if kind == "avi" else ANY
        varied = tuple(s - varied[0] for s in varied)
        if kind != "mpg":
            found[f"{kind} varied"] = Synth(stamps_s=varied, **spec)
        if kind != "avi":
            found[f"{kind} picture late"] = Synth(video_start_s=0.44, **spec)
            found[f"{kind} sound late"] = Synth(audio_start_s=0.33, **spec)
            found[f"{kind} both late"] = Synth(
                video_start_s=0.24, audio_start_s=0.61, **spec
            )
    return found


DESIGNS = designs()
SOME = tuple(DESIGNS)[::5]
"""A few of them; all are made where slow tests are run."""


def built(folder: Path, names: tuple[str, ...]) -> Store:
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", "path", "emotion", "speaker"])
        for name in names:
            path = write(folder / name.replace(" ", "_"), DESIGNS[name])
            table.writerow([name, path.name, "happy", "a"])
    out = folder / "store"
    run(
        *("mmder_prep", "manifest", folder / "clips.csv", "--out", out),
        *("--no-face-crop", "--workers", 2, "--shard-clips", 6),
    )
    return Store(out)


def check(store: Store, row: int) -> None:
    """Compare one row with the design of its clip."""
    name = store.columns["clip_id"][row]
    spec = DESIGNS[name]
    assert (store.columns["status"][row], store.columns["reason"][row]) == ("ok", "")
    shown = np.array([number_in(f) for f in store.read("frames", row)], dtype=float)
    assert np.isfinite(shown).all()
    moments_s = spec.frame_times_s[shown.astype(int)]
    # What the clock of the file adds is one number, the same for all frames.
    stored_s = store.read("frame_time_s", row)
    clock_s = float(np.median(stored_s - moments_s))
    assert np.abs(stored_s - moments_s - clock_s).max() <= ROUNDING_S
    windows_s = store.read("window_16_s", row) - clock_s
    _check_frames(spec, shown.astype(int), windows_s.mean(axis=1))
    for count in (16, 8):
        columns_s = store.read(f"window_{count}_s", row)[:, :1] - clock_s
        stft = store.read(f"stft_{count}", row).astype(float)
        _check_tones(spec, columns_s + HOP_S * np.arange(stft.shape[2]), stft)


def _check_frames(spec: Synth, shown: np.ndarray, instants_s: np.ndarray) -> None:
    """At each instant its frame is on screen, or comes within half a frame."""
    times_s = spec.frame_times_s
    ends_s = np.append(times_s[1:], np.inf)
    lasts_s = np.append(np.diff(times_s), np.inf)
    early_s = np.minimum(0.5 / float(spec.fps), lasts_s[np.maximum(0, shown - 1)] / 2)
    assert (instants_s >= times_s[shown] - early_s - ROUNDING_S).all()
    assert (instants_s < ends_s[shown] + ROUNDING_S).all()
    if spec.stamps_s is None:
        off_s = np.abs(instants_s - times_s[shown])
        assert off_s.max() <= 0.5 / float(spec.fps) + ROUNDING_S


def _check_tones(spec: Synth, columns_s: np.ndarray, stft: np.ndarray) -> None:
    """Every column of a spectrogram holds the tone of its time, within one hop."""
    low_s, high_s = spec.sound_bounds_s
    sounding = (columns_s > low_s + 0.02) & (columns_s < high_s - 0.02)
    assert sounding.mean() > 0.6
    peaks_hz = stft.argmax(axis=1) * 31.25
    reach_s = HOP_S + ROUNDING_S
    early, late = (spec.tones_hz(columns_s + s) for s in (-reach_s, reach_s))
    assert sounds_like(peaks_hz, early, late)[sounding].all()
    # Outside the sound there is silence; an encoder's lead may be faintly heard.
    silent = (columns_s < low_s - 0.08) | (columns_s > high_s + 0.08)
    assert (stft.max(axis=1)[silent] == -100).all()


def test_rows_of_a_store_are_aligned(tmp_path: Path) -> None:
    """Every container once or twice, at rates and offsets that differ."""
    store = built(tmp_path, SOME)
    assert {name.split()[0] for name in SOME} == set(KINDS)
    for row in range(len(store)):
        check(store, row)


@pytest.mark.slow
def test_rows_of_any_rate_container_and_offset_are_aligned(tmp_path: Path) -> None:
    """Eight rates, varied rates and three offsets in six containers."""
    store = built(tmp_path, tuple(DESIGNS))
    assert len(store) == 68
    wrong = {}
    for row in range(len(store)):
        try:
            check(store, row)
        except AssertionError as error:
            wrong[store.columns["clip_id"][row]] = str(error).splitlines()[0]
    assert wrong == {}
