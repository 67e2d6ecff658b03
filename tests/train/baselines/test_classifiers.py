"""Classifiers are fitted only on the training clips."""

import numpy as np
import pytest

from mmder_train.baselines.classifiers import CLASSIFIERS, fit_and_predict
from mmder_train.cli import baseline


def test_the_fit_does_not_depend_on_the_test_clips() -> None:
    rng = np.random.default_rng(0)
    statistics = rng.normal(size=(40, 6))
    label = np.arange(40) % 3
    train = np.arange(30)
    for classifier in CLASSIFIERS.values():
        before = fit_and_predict(classifier, statistics, label, train, classes=3)
        changed, wrong = statistics.copy(), label.copy()
        changed[30:] = 1e6 * rng.normal(size=(10, 6))
        wrong[30:] = 0
        after = fit_and_predict(classifier, changed, wrong, train, classes=3)
        assert (before[:30] == after[:30]).all()
        assert (before != after)[30:].any()


@pytest.mark.parametrize("model", baseline.MODELS)
@pytest.mark.parametrize("present", [(1, 3), (0, 2, 3)])
def test_absent_classes_have_probability_zero(
    model: str, present: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    label = np.resize(present, 60)
    statistics = np.eye(4)[label] * 5 + rng.normal(size=(60, 4))
    probabilities = fit_and_predict(
        CLASSIFIERS[model], statistics, label, np.arange(40), classes=4
    )
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert not probabilities[:, [c for c in range(4) if c not in present]].any()
    assert (probabilities.argmax(axis=1) == label).mean() > 0.9


def test_the_command_offers_every_classifier() -> None:
    assert tuple(CLASSIFIERS) == baseline.MODELS
