"""The comparison of ways to draw audio: levels, speakers and intervals."""

from pathlib import Path

import numpy as np
import pytest

from mmder_train.evaluation import metrics
from spectrogram_ways import LEVEL_DB, WAYS, Comparison, cell, equalize, resample, table

COMPARISON = Comparison(
    store=Path(),
    out=Path(),
    method="linear-probe",
    settings={},
    clips="",
    folds=4,
    test=False,
)


def test_a_gain_brings_each_clip_to_the_same_mean_power() -> None:
    # Half of the bins are 3.0103 dB (a factor of 2) above the level -50 dB, half have
    # no power: the mean power is -50 dB.
    stft = np.full((2, 2, 4, 3), -100.0, np.float32)
    stft[:, :, ::2] = -50 + 10 * np.log10(2)
    stft[1, :, ::2] += 20
    equal = equalize(stft)
    assert np.allclose(equal[:, :, ::2], LEVEL_DB + 10 * np.log10(2), atol=1e-3)
    assert equal.min() >= -100


def test_the_last_fifth_of_the_speakers_has_no_part_in_a_choice() -> None:
    speakers = [f"{k:02d}" for k in range(1, 21) for _ in range(2)]
    folds = COMPARISON.split(speakers)
    scored = [name for fold in folds for name in fold.speakers]
    assert sorted(scored) == sorted(set(speakers[:32]))
    for fold in folds:
        used = {speakers[i] for i in [*fold.train, *fold.test]}
        assert used == set(speakers[:32])
        assert not {speakers[i] for i in fold.train} & set(fold.speakers)


def test_intervals_equal_those_of_a_run() -> None:
    counts = np.random.default_rng(0).integers(1, 9, (2, 6, 3, 3))
    war, uar = resample(counts)
    low_high = metrics.intervals(counts, seed=0)[:2]
    for scores, (low, high) in zip((war, uar), low_high, strict=True):
        ends = np.quantile(scores[1:], (0.025, 0.975))
        assert ends.tolist() == pytest.approx([100 * low, 100 * high])
    expected = np.mean([metrics.uar(c.sum(axis=0)) for c in counts])
    assert uar[0] == pytest.approx(100 * expected)


def test_differences_are_paired() -> None:
    counts = np.random.default_rng(0).integers(1, 9, (2, 6, 3, 3))
    scores = resample(counts)
    assert cell(scores[0] - scores[0], "+") == "+0.0 (+0.0 to +0.0)"
    lines = table({WAYS[0]: scores, "worse": tuple(s - 1 for s in scores)}).splitlines()
    assert lines[2].startswith(f"| {WAYS[0]} |")
    assert lines[3].endswith("| -1.0 (-1.0 to -1.0) | -1.0 (-1.0 to -1.0) |")
