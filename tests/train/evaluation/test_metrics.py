"""Scores match scikit-learn, and their intervals match SciPy."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
)

from mmder_train.evaluation import metrics


@given(st.data(), st.integers(2, 8), st.integers(1, 60))
def test_scores_match_sklearn(data: st.DataObject, classes: int, clips: int) -> None:
    labels = st.lists(st.integers(0, classes - 1), min_size=clips, max_size=clips)
    true = np.array(data.draw(labels), dtype=np.int64)
    predicted = np.array(data.draw(labels), dtype=np.int64)
    counts = metrics.confusion(true, predicted, classes=classes)
    all_classes = list(range(classes))
    assert (counts == confusion_matrix(true, predicted, labels=all_classes)).all()
    assert metrics.war(counts) == pytest.approx(accuracy_score(true, predicted))
    present = np.unique(true)
    recall = recall_score(
        true, predicted, labels=present, average=None, zero_division=np.nan
    )
    assert metrics.recalls(counts)[present] == pytest.approx(recall)
    assert metrics.uar(counts) == pytest.approx(recall.mean())
    f1 = f1_score(true, predicted, average="weighted", zero_division=0.0)
    assert metrics.weighted_f1(counts) == pytest.approx(f1)


def test_a_class_without_clips_is_excluded_from_uar() -> None:
    counts = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert metrics.uar(counts) == pytest.approx((0.75 + 0.5) / 2)
    assert np.isnan(metrics.recalls(counts)[1])


def test_chance_is_always_predicting_the_largest_class() -> None:
    counts = np.array([[0, 4, 0], [2, 0, 0], [0, 0, 2]])
    true = [0, 0, 0, 0, 1, 1, 2, 2]
    f1 = f1_score(true, [0] * 8, average="weighted", zero_division=0.0)
    assert metrics.chance(counts) == pytest.approx((0.5, 1 / 3, f1))


def test_scores_of_no_clips_are_an_error() -> None:
    empty = np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(ValueError, match="no clips"):
        metrics.war(empty)
    with pytest.raises(ValueError, match="no clips"):
        metrics.uar(empty)
    with pytest.raises(ValueError, match="no clips"):
        metrics.weighted_f1(empty)


def counts_by_speaker(
    seed: int, *, repeats: int, speakers: int, classes: int, clips: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    skill = rng.uniform(0.2, 0.9, speakers)
    counts = np.zeros((repeats, speakers, classes, classes), dtype=np.int64)
    true = rng.integers(classes, size=(speakers, clips))
    for repeat, speaker in product(range(repeats), range(speakers)):
        guess = rng.integers(classes, size=clips)
        correct = rng.random(clips) < skill[speaker]
        predicted = np.where(correct, true[speaker], guess)
        counts[repeat, speaker] = metrics.confusion(
            true[speaker], predicted, classes=classes
        )
    return counts


def test_intervals_match_scipy() -> None:
    counts = counts_by_speaker(1, repeats=1, speakers=20, classes=5, clips=40)

    def interval(score: Callable[[np.ndarray], float]) -> object:
        def statistic(index: np.ndarray) -> float:
            return score(counts[0, index].sum(axis=0))

        result = stats.bootstrap(
            (np.arange(20),),
            statistic,
            n_resamples=4000,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(7),
        )
        return result.confidence_interval

    def recall_of_2(drawn: np.ndarray) -> float:
        return float(drawn[2, 2] / drawn[2].sum())

    ours = metrics.intervals(counts, seed=0, draws=4000)
    (*_, recall, _, _) = metrics.recall_intervals(counts, seed=0, draws=4000)
    assert recall is not None
    scores = (metrics.war, metrics.uar, metrics.weighted_f1, recall_of_2)
    for own, score in zip((*ours, recall), scores, strict=True):
        assert own == pytest.approx(interval(score), abs=0.01)
        assert own[1] - own[0] > 0.05


def test_a_class_of_one_speaker_has_no_interval() -> None:
    """Its recall would be the same in every resample, as if it were certain."""
    counts = counts_by_speaker(4, repeats=2, speakers=5, classes=3, clips=12)
    counts[:, 1:, 1] = 0
    counts[:, :, 2] = 0
    first, second, third = metrics.recall_intervals(counts, seed=0)
    assert first is not None
    assert first[0] < first[1]
    assert second is third is None


def test_intervals_of_three_speakers_are_quantiles_of_all_27_draws() -> None:
    counts = counts_by_speaker(2, repeats=2, speakers=3, classes=3, clips=15)
    scores = [
        np.mean([metrics.uar(run[list(speakers)].sum(axis=0)) for run in counts])
        for speakers in product(range(3), repeat=3)
    ]
    _, uar, _ = metrics.intervals(counts, seed=0, draws=20_000, level=0.5)
    exact = np.quantile(scores, (0.25, 0.75), method="inverted_cdf")
    assert uar == pytest.approx(tuple(exact))


def test_interval_of_identical_speakers_is_a_point() -> None:
    one = counts_by_speaker(3, repeats=1, speakers=1, classes=4, clips=30)
    same = np.repeat(one, 6, axis=1)
    scores = metrics.all_scores(one[0, 0]).values()
    for (low, high), score in zip(metrics.intervals(same, seed=0), scores, strict=True):
        assert low == pytest.approx(score)
        assert high == pytest.approx(score)
    with pytest.raises(ValueError, match="over 1 speakers: expected two or more"):
        metrics.intervals(one, seed=0)
