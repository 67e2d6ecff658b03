"""A model is not better than chance if its UAR is within two standard errors of it."""

from typing import Any

import pytest

from mmder_train.evaluation.model_quality import ModelQuality, model_quality


def quality(correct: int, *, folds: tuple[int, ...] = (1, 2), **config: str) -> Any:
    """Return the quality of two folds with 50 clips in each of two classes."""
    half = correct // 2
    confusion = [[half, 50 - half], [50 - half, half]]
    other = [[0, 50], [50, 0]]
    folds_json = [
        {"fold": 1, "confusion": confusion},
        {"fold": 2, "confusion": confusion},
        {"fold": 3, "confusion": other},
    ]
    results = {"config": config, "strategies": {"cfas": {"folds": folds_json}}}
    return model_quality(results, "cfas", folds)


def test_the_margin_is_two_standard_errors_of_guessing() -> None:
    """With 100 clips in each of two classes it is ``2 sqrt(0.25 / 100 * 2) / 2``."""
    found: ModelQuality = quality(60)
    assert found.uar == found.war == pytest.approx(0.6)
    assert (found.chance_war, found.chance_uar) == (0.5, 0.5)
    assert found.chance_margin == pytest.approx(0.0707, abs=1e-4)
    assert found.warning() is None
    assert "WAR 60.0%, UAR 60.0% on unseen speakers" in found.scores_text()
    assert quality(56).is_chance
    assert "not better than chance" in quality(56).warning()
    assert "mean nothing" in quality(56).warning()


def test_only_the_named_folds_count() -> None:
    assert quality(60, folds=(3,)).war == 0.0


def test_a_frozen_random_encoder_is_a_defect() -> None:
    frozen = quality(80, method="linear-probe", weights="none")
    assert frozen.defects() == ["frozen encoder with random weights"]
    assert "not for results" in frozen.warning()
    assert quality(80, method="finetune", weights="none").warning() is None
    assert quality(80, method="linear-probe", weights="w.pth").warning() is None
