"""Scores over several seeds, and the results of one of them."""

from typing import Any

import numpy as np
import pytest

from mmder_store.errors import SettingsError
from mmder_train.evaluation.seeds import (
    file_name,
    results_of_seed,
    run_seeds,
    summarize_seeds,
)
from mmder_train.evaluation.summary import summarize_folds

FOLDS = {
    3: {1: np.array([[3, 1], [0, 4]]), 2: np.array([[2, 0], [2, 2]])},
    5: {1: np.array([[1, 3], [0, 4]]), 2: np.array([[2, 0], [0, 4]])},
}
"""Confusion matrices of two folds by seed."""


def make_scores(seed: int) -> dict[str, Any]:
    details = {k: {"speakers": [str(k)], "epoch": seed} for k in (1, 2)}
    return {**summarize_folds(FOLDS[seed], details), "merged": []}


def make_results() -> dict[str, Any]:
    summary = summarize_seeds({seed: make_scores(seed) for seed in FOLDS})
    return {
        "config": {"seed": 3, "seeds": [3, 5], "lr": 0.1},
        "strategies": {"cfas": {"equation": "eq. 1", **summary}},
    }


def test_scores_are_means_over_seeds() -> None:
    """WAR by hand: 7/8 and 4/6 with seed 3, 5/8 and 6/6 with seed 5."""
    summary = make_results()["strategies"]["cfas"]
    assert [f["war"] for f in summary["folds"]] == pytest.approx([6 / 8, 5 / 6])
    assert [f["fold"] for f in summary["folds"]] == [1, 2]
    assert summary["folds"][0]["speakers"] == ["1"]
    assert summary["mean"]["war"] == pytest.approx((6 / 8 + 5 / 6) / 2)
    assert summary["std"]["war"] == pytest.approx((5 / 6 - 6 / 8) / 2)
    # Of all 14 clips, 11 are correct with each seed.
    assert summary["pooled"]["war"] == pytest.approx(11 / 14)
    assert summary["seed_std"]["war"] == pytest.approx(0)
    assert summary["pooled"]["clips"] == 14
    assert summary["pooled"]["confusion"] == [[8, 4], [2, 14]]
    # Recall with seed 3: 5/6 and 6/8, with seed 5: 3/6 and 8/8.
    assert summary["pooled"]["recall"] == pytest.approx([8 / 12, 14 / 16])
    assert summary["pooled"]["uar"] == pytest.approx((8 / 12 + 14 / 16) / 2)
    assert summary["seed_std"]["uar"] == pytest.approx(
        abs((5 / 6 + 6 / 8) - (3 / 6 + 1)) / 4
    )
    assert summary["chance"] == make_scores(3)["chance"]


def test_the_results_of_a_seed_are_those_of_a_run_with_it() -> None:
    results = make_results()
    assert run_seeds(results) == (3, 5)
    one = results_of_seed(results, 5)
    assert one["config"] == {"seed": 5, "seeds": [], "lr": 0.1}
    assert one["strategies"]["cfas"] == {"equation": "eq. 1", **make_scores(5)}
    assert run_seeds(one) == (5,)
    assert results_of_seed(one, 5) == one
    with pytest.raises(SettingsError, match=r"--seed 4: .* expected one of 3, 5"):
        results_of_seed(results, 4)
    with pytest.raises(SettingsError, match=r"--seed 4: .* expected one of none"):
        results_of_seed({"config": {}}, 4)


def test_files_are_named_after_the_seed_if_there_are_several() -> None:
    results = make_results()
    assert file_name(results, "cfas", 5) == "cfas-seed5"
    assert file_name(results_of_seed(results, 5), "cfas", 5) == "cfas"
    assert file_name({"config": {}}, "baseline-svm", None) == "baseline-svm"
