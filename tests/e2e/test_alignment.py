"""Audio and video of a store are aligned: clips through the program, read from outside.

Frame k of every clip shows the number k, and every tenth of a second has its own tone.
The clips combine frame rates, containers and start offsets. The arrays are compared
with the design of the clips, never with the output of a decoder.
"""

import csv
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmder_store import Store
from run_cli import run_here
from synth import Synth, number_in, sounds_like, write

HOP_S = 0.01
ROUNDING_S = 0.0011
"""Rounding of containers whose time stamps are milliseconds."""
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
"""Frame times at a variable rate."""
DROPPED = tuple(np.flatnonzero(RNG.uniform(size=86) < 0.7) / 25)
"""Frame times for AVI, which counts frames: 25 per second, 30 % of them missing."""


def designs() -> dict[str, Synth]:
    """Return the designs of all clips by name.

    AVI cannot store a start offset, and MPEG-1 supports only constant rates.
    """
    small: dict[str, Any] = {"size_px": (96, 64), "layout": "mono"}
    clips = {}
    for kind, codecs in KINDS.items():
        for seed, (rate, fps) in enumerate(RATES.items()):
            spec = {"suffix": kind, "seed": seed, **small, **codecs}
            clips[f"{kind} {rate}"] = Synth(fps=fps, **spec)
        stamps_s = DROPPED if kind == "avi" else ANY
        stamps_s = tuple(s - stamps_s[0] for s in stamps_s)
        if kind != "mpg":
            clips[f"{kind} varied"] = Synth(stamps_s=stamps_s, **spec)
        if kind != "avi":
            clips[f"{kind} video late"] = Synth(video_start_s=0.44, **spec)
            clips[f"{kind} audio late"] = Synth(audio_start_s=0.33, **spec)
            clips[f"{kind} both late"] = Synth(
                video_start_s=0.24, audio_start_s=0.61, **spec
            )
    return clips


DESIGNS = designs()
SOME = tuple(DESIGNS)[::5]
"""Clips of the fast test; the slow test makes all."""


def build_store(folder: Path, names: tuple[str, ...]) -> Store:
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", "path", "emotion", "speaker"])
        for name in names:
            path = write(folder / name.replace(" ", "_"), DESIGNS[name])
            table.writerow([name, path.name, "happy", "a"])
    out = folder / "store"
    run_here(
        *("mmder_prep", "manifest", folder / "clips.csv", "--out", out),
        *("--no-face-crop", "--workers", 2, "--shard-clips", 6),
    )
    return Store(out)


def check(store: Store, row: int) -> None:
    """Compare one row of a store with the design of its clip."""
    name = store.columns["clip_id"][row]
    spec = DESIGNS[name]
    assert store.columns["status"][row] == "ok"
    # Streams of some designs start late.
    late = r"(audio for [\d.]+ of the clip's [\d.]+ s)?"
    assert re.fullmatch(late, store.columns["reason"][row])
    shown = np.array([number_in(f) for f in store.read("frames", row)], dtype=float)
    assert np.isfinite(shown).all()
    design_s = spec.frame_times_s[shown.astype(int)]
    # The offset of the file's clock is the same for all frames.
    stored_s = store.read("frame_time_s", row)
    clock_s = float(np.median(stored_s - design_s))
    assert np.abs(stored_s - design_s - clock_s).max() <= ROUNDING_S
    windows_s = store.read("window_16_s", row) - clock_s
    _check_frames(spec, shown.astype(int), windows_s.mean(axis=1))
    for count in (16, 8):
        columns_s = store.read(f"window_{count}_s", row)[:, :1] - clock_s
        stft = store.read(f"stft_{count}", row).astype(float)
        _check_tones(spec, columns_s + HOP_S * np.arange(stft.shape[2]), stft)


def _check_frames(spec: Synth, shown: np.ndarray, instants_s: np.ndarray) -> None:
    """Check that each instant's frame is on screen, or starts within half a frame."""
    times_s = spec.frame_times_s
    ends_s = np.append(times_s[1:], np.inf)
    durations_s = np.append(np.diff(times_s), np.inf)
    early_s = np.minimum(
        0.5 / float(spec.fps), durations_s[np.maximum(0, shown - 1)] / 2
    )
    assert (instants_s >= times_s[shown] - early_s - ROUNDING_S).all()
    assert (instants_s < ends_s[shown] + ROUNDING_S).all()
    if spec.stamps_s is None:
        distance_s = np.abs(instants_s - times_s[shown])
        assert distance_s.max() <= 0.5 / float(spec.fps) + ROUNDING_S


def _check_tones(spec: Synth, columns_s: np.ndarray, stft: np.ndarray) -> None:
    """Check that every spectrogram column has the tone of its time, within one hop."""
    low_s, high_s = spec.sound_bounds_s
    audible = (columns_s > low_s + 0.02) & (columns_s < high_s - 0.02)
    assert audible.mean() > 0.6
    peaks_hz = stft.argmax(axis=1) * 31.25
    reach_s = HOP_S + ROUNDING_S
    early, late = (spec.tones_hz(columns_s + s) for s in (-reach_s, reach_s))
    assert sounds_like(peaks_hz, early, late)[audible].all()
    # The audio is silent outside these bounds; an encoder may add a faint lead-in.
    silent = (columns_s < low_s - 0.08) | (columns_s > high_s + 0.08)
    assert (stft.max(axis=1)[silent] == -100).all()


def test_rows_of_a_store_are_aligned(tmp_path: Path) -> None:
    """Every container appears, with different rates and offsets."""
    store = build_store(tmp_path, SOME)
    assert {name.split()[0] for name in SOME} == set(KINDS)
    for row in range(len(store)):
        check(store, row)


@pytest.mark.slow
def test_rows_of_any_rate_container_and_offset_are_aligned(tmp_path: Path) -> None:
    """Eight constant rates, variable rates and three offsets in six containers."""
    store = build_store(tmp_path, tuple(DESIGNS))
    assert len(store) == 68
    errors = {}
    for row in range(len(store)):
        try:
            check(store, row)
        except AssertionError as error:
            errors[store.columns["clip_id"][row]] = str(error).splitlines()[0]
    assert errors == {}
