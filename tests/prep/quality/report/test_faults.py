"""Faults of real files among genuine ones: each is beyond a limit, no other clip is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_prep.quality.report import measures
from mmder_prep.quality.report.measures import MEASURES
from mmder_store import PrepSettings

RATE_HZ = 16_000
GENUINE = 12
COLUMNS = {"loudness": "sound_rms_db", "silence": "silence"}
FAULTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], set[str]]] = {
    "40 dB quieter": (lambda audio: audio / 100, {"loudness"}),
    "silent track": (lambda audio: 0 * audio, {"loudness", "silence"}),
    "silence inserted": (
        lambda audio: audio * (np.arange(len(audio)) < 0.3 * len(audio)),
        {"silence"},
    ),
}


def syllables(seed: int) -> np.ndarray:
    """Return 3 s of noise in bursts of 50 ms, with pauses and a level of its own."""
    rng = np.random.default_rng(seed)
    gain = 10 ** (rng.normal(-20, 4) / 20)
    spoken = np.repeat(rng.random(60) < rng.uniform(0.6, 0.8), RATE_HZ // 20)
    return np.clip(rng.normal(0, gain, 3 * RATE_HZ), -1, 1) * spoken


def measure(folder: Path, audio: np.ndarray) -> dict[str, float]:
    """Prepare a WAV file and return its measures."""
    path = folder / "x.wav"
    wavfile.write(path, RATE_HZ, (audio * 32767).astype(np.int16))
    clip = Clip(clip_id="x", source=Source(path))
    row = prepare_clip(clip, PrepSettings(modality="audio"), device="cpu")
    return {name: float(row.facts[column]) for name, column in COLUMNS.items()}


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    folder = tmp_path_factory.mktemp("genuine")
    return [measure(folder, syllables(seed)) for seed in range(GENUINE)]


@pytest.mark.parametrize("name", FAULTS)
def test_fault_among_genuine_clips_is_found(
    name: str, genuine: list[dict[str, float]], tmp_path: Path
) -> None:
    damage, expected = FAULTS[name]
    found = [*genuine, measure(tmp_path, damage(syllables(99)))]
    beyond: dict[str, list[int]] = {}
    for limited in (m for m in MEASURES if m.name in COLUMNS):
        values = np.array([clip[limited.name] for clip in found])
        fitted = measures.fit_limit(limited, values)
        beyond[limited.name] = list(np.flatnonzero(measures.beyond(fitted, values)))
    assert {n for n, rows in beyond.items() if GENUINE in rows} >= expected
    assert all(set(rows) <= {GENUINE} for rows in beyond.values())


def test_genuine_clips_are_not_marked(genuine: list[dict[str, float]]) -> None:
    """Quiet clips with long pauses are ordinary among others of that kind."""
    for limited in (m for m in MEASURES if m.name in COLUMNS):
        values = np.array([clip[limited.name] for clip in genuine])
        assert not measures.beyond(measures.fit_limit(limited, values), values).any()
        lowered = values - 30 if limited.name == "loudness" else values
        fitted = measures.fit_limit(limited, lowered)
        assert not measures.beyond(fitted, lowered).any()
