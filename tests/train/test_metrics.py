"""WAR and UAR against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from mmder_train import metrics


@given(st.data(), st.integers(2, 8), st.integers(1, 60))
def test_scores_are_those_of_sklearn(
    data: st.DataObject, classes: int, clips: int
) -> None:
    labels = st.lists(st.integers(0, classes - 1), min_size=clips, max_size=clips)
    true = np.array(data.draw(labels), dtype=np.int64)
    predicted = np.array(data.draw(labels), dtype=np.int64)
    counts = metrics.confusion(true, predicted, classes=classes)
    every = list(range(classes))
    assert (counts == confusion_matrix(true, predicted, labels=every)).all()
    assert metrics.war(counts) == pytest.approx(accuracy_score(true, predicted))
    occur = np.unique(true)
    recall = recall_score(
        true, predicted, labels=occur, average=None, zero_division=np.nan
    )
    assert metrics.recalls(counts)[occur] == pytest.approx(recall)
    assert metrics.uar(counts) == pytest.approx(recall.mean())


def test_a_class_without_clips_is_left_out_of_uar() -> None:
    counts = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert metrics.uar(counts) == pytest.approx((0.75 + 0.5) / 2)
    assert np.isnan(metrics.recalls(counts)[1])


def test_chance_is_the_largest_class() -> None:
    counts = np.array([[0, 4, 0], [2, 0, 0], [0, 0, 2]])
    assert metrics.chance(counts) == pytest.approx((0.5, 1 / 3))


def test_no_clips() -> None:
    none = np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(ValueError, match="no clips"):
        metrics.war(none)
    with pytest.raises(ValueError, match="no clips"):
        metrics.uar(none)
