"""Numbers that the README states, remade. Minutes: run by `make test-slow`."""

import json
from pathlib import Path

import pytest

from programs import run


@pytest.mark.slow
def test_the_demo_learns_what_its_clips_were_made_to_show(tmp_path: Path) -> None:
    """192 clips, six folds, a head on a frozen tiny encoder: far above chance.

    Always neutral gives 25.0 % WAR and 14.3 % UAR. A share of 8 points over 192 clips
    is more than two standard errors.
    """
    sample, store, out = tmp_path / "sample", tmp_path / "store", tmp_path / "run"
    run("mmder_prep", "sample", "--out", sample)
    run("mmder_prep", "ravdess", "--root", sample, "--out", store)
    run("mmder_train", "--store", store, "--strategy", "cfas", "--out", out)
    found = json.loads((out / "results.json").read_text())["strategies"]["cfas"]
    assert len(found["folds"]) == 6
    assert found["pooled"]["war"] > found["chance"]["war"] + 0.08
    assert found["pooled"]["uar"] > found["chance"]["uar"] + 0.08
