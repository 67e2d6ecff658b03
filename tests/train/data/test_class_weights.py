"""Weights of the classes match scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from mmder_train.data.class_weights import class_weight


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_balanced_weights_match_sklearn(labels: list[int]) -> None:
    weights = class_weight("balanced", np.array(labels), classes=6)
    assert weights is not None
    present = np.unique(labels)
    expected = compute_class_weight("balanced", classes=present, y=labels)
    assert weights[present] == pytest.approx(expected)
    assert weights[labels].mean() == pytest.approx(1)
    assert not np.delete(weights, present).any()


def test_equal_weights_are_none() -> None:
    assert class_weight("none", np.array([0, 0, 1]), classes=2) is None
