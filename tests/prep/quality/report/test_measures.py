"""Measures of planted values, and the order of the worst clips."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.quality.report import measures
from mmder_prep.quality.report.measures import MEASURES
from mmder_prep.quality.report.page import measured
from mmder_store import Store

BY_NAME = {m.name: m for m in MEASURES}


def boxes(lefts: Any, side: Any = 100.0) -> Any:
    """Return square crop boxes in 16 frames."""
    lefts = np.broadcast_to(np.asarray(lefts, float), 16)
    side = np.broadcast_to(np.asarray(side, float), 16)
    return np.stack([lefts, 0 * lefts, lefts + side, side], axis=1)


@given(
    shift=st.floats(0, 0.5), size_px=st.floats(20, 500), left_px=st.floats(-100, 1000)
)
def test_a_crop_that_moves_steadily_has_the_planted_shift(
    shift: float, size_px: float, left_px: float
) -> None:
    """The shift is relative to the side, at any position and size."""
    lefts = left_px + shift * size_px * np.arange(16)
    found = measures.crop_measures(boxes(lefts, size_px), np.full(16, 0.9))
    assert found["crop shift"] == pytest.approx(shift, abs=1e-9)
    assert found["crop jump"] == pytest.approx(shift, abs=1e-9)
    assert found["crop zoom"] == pytest.approx(0, abs=1e-9)
    assert found["face score"] == 0.9


def test_a_single_jump_is_not_jitter() -> None:
    """The median ignores it, the maximum does not; growth is zoom."""
    found = measures.crop_measures(
        boxes(40.0 * (np.arange(16) > 7)), np.full(16, np.nan)
    )
    assert found["crop shift"] == 0
    assert found["crop jump"] == pytest.approx(0.4)
    assert np.isnan(found["face score"])
    grown = 100 * 1.1 ** np.arange(16)
    zoom = measures.crop_measures(boxes(-grown / 2, grown), np.ones(16))["crop zoom"]
    assert zoom == pytest.approx(0.1 / 1.05)
    assert np.isnan(
        list(measures.crop_measures(np.zeros((16, 4)), np.ones(16)).values())
    ).all()


def test_unknown_values_and_failed_clips_are_not_measured(planted: Path) -> None:
    """-1 is unknown; the offset keeps its sign; planted problems are found."""
    found = measured(Store(planted))
    assert found["duration"][[0, 11]] == pytest.approx([3.0, 4.1])
    assert np.isnan([values[1] for values in found.values()]).all()
    assert np.isnan(found["silence"][2])
    assert found["A/V offset"][8] == 0.5
    assert found["face fraction"][0] == 1
    beyond = {
        m.name: set(np.flatnonzero(measures.beyond(m, found[m.name])))
        for m in measures.fit_limits(found)
    }
    assert {name: rows for name, rows in beyond.items() if rows} == {
        "clamped": {6},
        "A/V offset": {8},
        "crop shift": {5},
        "silence": {7},
    }


@given(st.lists(st.floats(-2, 2) | st.just(np.nan), min_size=1, max_size=30))
def test_badness_is_the_fraction_of_better_clips(drawn: list[float]) -> None:
    """The oracle counts them one by one; it is 0 within the limit."""
    measure, values = BY_NAME["A/V offset"], np.array(drawn)
    known = [abs(v) for v in drawn if not np.isnan(v)]
    for bad, value in zip(measures.badness(measure, values), drawn, strict=True):
        better = sum(k < abs(value) for k in known)
        beyond = abs(value) > measure.limit
        assert bad == (pytest.approx(better / len(known)) if beyond else 0)


@given(
    status=st.lists(st.sampled_from(["ok", "ok", "no_face", "failed"]), min_size=1),
    count=st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_worst_and_ordinary_clips(status: list[str], count: int, seed: int) -> None:
    """Clips that are not ok come first, but take at most half of the list."""
    statuses = np.array(status, dtype=object)
    silence = np.random.default_rng(seed).uniform(0, 1, len(status))
    (fitted,) = measures.fit_limits({"silence": silence})
    limit = fitted.limit
    worst = measures.worst_first(statuses, {"silence": silence}, count=count)
    not_ok = {i for i, s in enumerate(status) if s != "ok"}
    beyond = {i for i, s in enumerate(status) if s == "ok" and silence[i] > limit}
    assert len(set(worst)) == len(worst) == min(count, len(not_ok | beyond))
    first = [i for i in worst if i in not_ok]
    assert worst[: len(first)] == first
    assert len(first) <= max(count - len(beyond), count - count // 2)
    assert [status[i] for i in first] == sorted(status[i] for i in first)
    rest = silence[worst[len(first) :]]
    assert (np.diff(rest) <= 0).all()
    ordinary = measures.ordinary_clips(
        statuses, {"silence": silence}, count=count, seed=seed
    )
    assert len(ordinary) == min(count, len(status) - len(not_ok | beyond))
    assert not set(ordinary) & (not_ok | beyond)


def silence_limit(values: Any) -> float:
    return measures.fit_limit(BY_NAME["silence"], np.asarray(values)).limit


@given(
    level=st.floats(-50, -15),
    std=st.floats(0, 9),
    seed=st.integers(0, 999),
    fault_db=st.sampled_from([-40.0, -60.0]),
)
def test_limits_follow_from_the_store(
    level: float, std: float, seed: int, fault_db: float
) -> None:
    """The oracle uses normal quantiles. Few genuine clips are beyond the limit.

    A clip that is far quieter than the others is, unless the others vary as much.
    """
    values = np.random.default_rng(seed).normal(level, std, 400)
    values[0] = level + fault_db
    fitted = measures.fit_limit(BY_NAME["loudness"], values)
    first, third = np.quantile(values, [0.25, 0.75])
    robust_std = (third - first) / 1.349
    assert fitted.limit == pytest.approx(
        max(-70, np.median(values) - max(15, 3 * robust_std)), abs=0.6 * std + 1e-9
    )
    beyond = measures.beyond(fitted, values)
    assert beyond[1:].sum() <= 8
    assert beyond[0] == (values[0] < fitted.limit)
    if std < 8:
        assert beyond[0]


def test_silent_tracks_and_few_clips_have_fixed_limits() -> None:
    """Digital silence and a clip that is almost silent are found in any store."""
    quiet = np.array([-72.0, -40, -41, -np.inf])
    fitted = measures.fit_limit(BY_NAME["loudness"], quiet)
    assert list(measures.beyond(fitted, quiet)) == [True, False, False, True]
    assert silence_limit([0.1] * 7) == 0.95
    assert silence_limit([0.1] * 8) == pytest.approx(0.3)
    assert silence_limit([0.9] * 8) == 0.95
    assert silence_limit([np.nan] * 7 + [0.1] * 7) == 0.95
    for name in ("face score", "crop jump", "clamped", "decode errors"):
        assert measures.fit_limit(BY_NAME[name], np.ones(99)) == BY_NAME[name]


def test_offset_that_all_clips_share_is_ordinary() -> None:
    measure = BY_NAME["A/V offset"]
    shifted = np.append(np.full(20, 0.25), [0.0, 0.4, 0.3])
    fitted = measures.fit_limit(measure, shifted)
    assert list(np.flatnonzero(measures.beyond(fitted, shifted))) == [20, 21]
    assert fitted.bound == "> ±0.1 s from 0.25"
    assert measures.fit_limit(measure, shifted - 0.25).bound == measure.bound
