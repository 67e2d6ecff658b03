"""Fingerprints of video and audio: copies match, other recordings do not."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_prep.quality.fingerprints import (
    AUDIO_CORRELATION,
    audio_fingerprint,
    correlated_pairs,
    video_fingerprint,
)
from mmder_store import PrepSettings

SETTINGS = PrepSettings(face_crop=False)
SPEECH = os.environ.get("MMDER_REAL_SPEECH", "")


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 10))
def test_every_pair_above_the_threshold_is_found_once(
    seed: int, clips: int, missing: int
) -> None:
    """The oracle is the full correlation matrix; some fingerprints are missing."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(clips, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    fingerprints = [None if i < missing else v for i, v in enumerate(vectors)]
    expected = [
        (i, j)
        for i in range(missing, clips)
        for j in range(i + 1, clips)
        if vectors[i] @ vectors[j] >= 0.5
    ]
    assert sorted(correlated_pairs(fingerprints, 0.5)) == expected


def test_blocks_cover_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprints = [np.array([1.0, 0.0], dtype=np.float32)] * 7
    monkeypatch.setattr("mmder_prep.quality.fingerprints.BLOCK", 3)
    assert len(set(correlated_pairs(fingerprints, 0.9))) == 21


@given(st.floats(-30, 12), st.integers(0, 99))
def test_a_louder_copy_has_the_same_fingerprint(gain_db: float, seed: int) -> None:
    stft = np.random.default_rng(seed).normal(-40, 12, (16, 257, 41)).clip(-100)
    one, other = (
        audio_fingerprint((stft + g).astype(np.float16), SETTINGS)
        for g in (0.0, gain_db)
    )
    assert one is not None
    assert other is not None
    assert one @ other > 0.99


@given(st.integers(-100, 100), st.integers(0, 255))
def test_constant_input_has_no_fingerprint(level_db: int, gray: int) -> None:
    """Neither have a tenth of a second of audio, and a still image."""
    stft = np.full((16, 257, 41), level_db, dtype=np.float16)
    assert audio_fingerprint(stft, SETTINGS) is None
    brief = np.full((16, 257, 41), -100, dtype=np.float16)
    brief[4, :, :10] = np.random.default_rng(0).normal(-40, 12, (257, 10))
    assert audio_fingerprint(brief, SETTINGS) is None
    still = np.random.default_rng(gray).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    assert video_fingerprint(np.stack([still] * 16)) is None


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not SPEECH, reason="MMDER_REAL_SPEECH names no folder of takes")
@pytest.mark.parametrize("step", [6.0, 3.0])
def test_no_two_takes_of_real_speech_match(step: float) -> None:
    """RAVDESS has each sentence twice in each way by each speaker.

    Identical files are used once.
    """
    settings = PrepSettings(modality="audio", step_frames=step)
    files = {p.read_bytes(): p for p in sorted(Path(SPEECH).rglob("03-01-*.*"))}
    assert len(files) > 100
    fingerprints = []
    for path in files.values():
        row = prepare_clip(
            Clip(clip_id="x", source=Source(path)), settings, device="cpu"
        )
        fingerprints.append(audio_fingerprint(row.arrays["stft_16"], settings))
    assert all(f is not None for f in fingerprints)
    assert list(correlated_pairs(fingerprints, AUDIO_CORRELATION)) == []
