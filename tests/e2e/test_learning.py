"""Reproduce numbers of the README. Takes minutes; run by `make test-slow`."""

import json
from pathlib import Path

import pytest

from run_cli import run


@pytest.mark.slow
def test_the_demo_learns_the_emotions_of_its_generated_clips(tmp_path: Path) -> None:
    """192 clips, six folds, frozen tiny encoder: better than chance or one modality.

    Faces carry one half of an emotion and voices the other, so that neither suffices.
    Predicting always neutral reaches 25.0 % WAR and 14.3 % UAR. A difference of 8
    points over 192 clips is more than two standard errors.
    """
    sample, store, out = tmp_path / "sample", tmp_path / "store", tmp_path / "run"
    run("mmder_prep", "sample", "--out", sample)
    run("mmder_prep", "ravdess", "--root", sample, "--out", store)
    run("mmder_train", "--store", store, "--strategy", "all", "--out", out)
    results = json.loads((out / "results.json").read_text())["strategies"]
    assert len(results["cfas"]["folds"]) == 6
    for score in ("war", "uar"):
        pooled = {name: one["pooled"][score] for name, one in results.items()}
        best_single = max(pooled.pop("video"), pooled.pop("audio"))
        assert pooled["cfas"] > results["cfas"]["chance"][score] + 0.08
        assert pooled["cfas"] > best_single + 0.08
        # The other strategies have eight frames of each, from which a random encoder
        # extracts less.
        assert pooled["sfas"] > best_single, pooled
