"""The models of several folds are averaged, and share their encoder if it is frozen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mmder_train.cli.main import cli
from mmder_train.inference.predictor import predict_clips
from mmder_train.inference.trained_run import load_trained_run
from small_run import SmallRun, read_csv


def test_prediction_is_the_mean_over_folds(small_run: SmallRun) -> None:
    """The frozen encoder is loaded once for all folds."""
    probabilities = []
    for fold in (None, 1, 2):
        trained_run = small_run.load("audio", fold)
        assert len(trained_run.ensembles) == 1
        predictions = predict_clips(small_run.clips, trained_run)
        probabilities.append(
            np.array(
                [[*p.probabilities.values()] for p in predictions if p.probabilities]
            )
        )
    both, first, second = probabilities
    assert both == pytest.approx((first + second) / 2, abs=1e-12)
    assert both.sum(1) == pytest.approx(1)


def test_fine_tuned_encoders_are_not_shared(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    words = ["--store", small_run.store, "--out", run_dir, "--method", "finetune"]
    words += ["--strategy", "audio", "--epochs", 1, "--save-weights", "--device", "cpu"]
    assert CliRunner().invoke(cli, list(map(str, words))).exit_code == 0
    trained_run = load_trained_run(run_dir, device="cpu")
    assert len(trained_run.ensembles) == 2
    tested = read_csv(run_dir / "predictions-audio.csv")[0]
    first_fold = replace(trained_run, ensembles=trained_run.ensembles[:1])
    (prediction,) = predict_clips(small_run.clips[:1], first_fold)
    assert prediction.probabilities == pytest.approx(
        {c: float(tested[f"p_{c}"]) for c in trained_run.classes}, abs=2e-6
    )
