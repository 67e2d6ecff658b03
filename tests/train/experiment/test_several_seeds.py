"""Runs with several seeds have the numbers of runs with one seed each."""

import csv
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from fake_runs import read_own_rows
from mmder_train.inference.trained_run import load_trained_run
from mmder_train.reporting import draw_figures
from mmder_train.weights import load_weights
from train_runs import (
    FINETUNE,
    Train,
    invoke,
    read_metrics,
    read_results,
    run_before_step,
)


def probabilities(folder: str, name: str) -> list[list[float]]:
    """Return the probabilities of a table of predictions."""
    with Path(folder, f"predictions-{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [[float(v) for k, v in r.items() if k.startswith("p_")] for r in rows]


@pytest.mark.parametrize("strategy", ["cfas", "rfas"])
def test_a_linear_probe_has_the_heads_of_single_runs(
    train: Train, strategy: str
) -> None:
    """With random weights, and for RFAS, each seed has features of its own."""
    words = ("av.zarr", "--strategy", strategy, "--epochs", "5", "--save-weights")
    done = train(*words, "--seed", "3,0", "--out", "both")
    assert done.exit_code == 0, done.output
    assert f"{strategy}-seed3, {strategy}-seed0: 4 heads trained" in done.stderr
    assert "mean of 2 seeds, percent" in done.stdout
    curves = draw_figures.fold_histories(Path("both"), strategy)
    assert [len(history) for history in curves] == [5] * 4, "two folds of each seed"
    results = read_results("both")
    assert (results["config"]["seed"], results["config"]["seeds"]) == (3, [3, 0])
    scores = results["strategies"][strategy]
    for seed in (3, 0):
        assert train(*words, "--seed", str(seed), "--out", f"s{seed}").exit_code == 0
        single = read_results(f"s{seed}")["strategies"][strategy]
        own = next(s for s in scores["seeds"] if s["seed"] == seed)
        assert own["pooled"] == single["pooled"]
        assert own["mean"] == single["mean"]
        torch.testing.assert_close(
            torch.tensor(probabilities("both", f"{strategy}-seed{seed}")),
            torch.tensor(probabilities(f"s{seed}", strategy)),
            atol=2e-6,
            rtol=0,
        )
        one, other = (
            load_weights(f"{folder}/weights/{name}-6.safetensors")
            for folder, name in (
                ("both", f"{strategy}-seed{seed}"),
                (f"s{seed}", strategy),
            )
        )
        changed = {
            key
            for key in one.metadata.keys() | other.metadata.keys()
            if one.metadata.get(key) != other.metadata.get(key)
        }
        assert changed == {"encoder_file"}
        file = Path(f"both/weights/encoder-seed{seed}.safetensors")
        assert (
            file.read_bytes()
            == Path(f"s{seed}/weights/encoder.safetensors").read_bytes()
        )
        for name, tensor in one.tensors.items():
            torch.testing.assert_close(tensor, other.tensors[name], atol=1e-5, rtol=0)
    names = {(r["seed"], r["fold"], r["epoch"]) for r in read_metrics("both")}
    assert len(names) == len(read_metrics("both")) == 2 * 2 * 5

    # One row, equal to that of the two single runs.
    compared: list[dict[str, Any]] = []
    for runs in (("both",), ("s0", "s3")):
        assert invoke("compare", *runs).exit_code == 0
        (row,) = read_own_rows()
        assert row["source"].split() == list(runs)
        compared.append({k: v for k, v in row.items() if k != "source"})
    assert compared[0] == compared[1]
    assert compared[0]["seeds"] == "2"
    twice = invoke("compare", "both", "s0")
    assert "the same run of" in twice.stderr

    trained = load_trained_run("both", device="cpu")
    assert (trained.seed, trained.seeds) == (3, (3, 0))
    assert trained.folds_text() == "folds 1, 6, seed 3 of 3, 0"
    x = torch.rand(1, 3, 16, 224, 224)
    for seed in (3, 0):
        expected = load_trained_run(f"s{seed}", device="cpu").predict_probabilities(x)
        chosen = load_trained_run("both", seed=seed, device="cpu")
        torch.testing.assert_close(
            chosen.predict_probabilities(x), expected, atol=1e-5, rtol=0
        )


def test_fine_tuning_has_the_numbers_of_single_runs_and_resumes(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes in the second seed; its fold is resumed, the first is kept."""
    words = (*FINETUNE, "--val", "speakers", "--epochs", "2")
    for seed in (0, 1):
        train_audio(*words, "--seed", str(seed), "--out", f"s{seed}")
    taken: list[None] = []
    with monkeypatch.context() as patched:

        def stop_in_the_second_seed() -> None:
            taken.append(None)
            if len(taken) == 2:
                signal.raise_signal(signal.SIGTERM)

        run_before_step(patched, 2, stop_in_the_second_seed)
        stopped = train_audio(*words, "--seed", "0,1", "--out", "both")
    assert stopped.exit_code == 128 + signal.SIGTERM
    assert Path("both/folds/audio-seed0-1.json").exists()
    assert Path("both/checkpoints/audio-seed1-1.json").exists()
    done = train_audio("--resume", "both")
    assert done.exit_code == 0, done.output
    assert not Path("both/checkpoints").exists()
    scores = read_results("both")["strategies"]["audio"]
    for own in scores["seeds"]:
        single = read_results(f"s{own['seed']}")["strategies"]["audio"]
        assert own["folds"] == single["folds"]
    singles = [*read_metrics("s0"), *read_metrics("s1")]
    assert read_metrics("both") == singles
    # The held-out speakers are drawn from the seed.
    again = train_audio(*words, "--seed", "0,1", "--out", "both")
    assert again.stdout == done.stdout
    other = train_audio(*words, "--seed", "0,2", "--out", "both")
    assert "holds another run (config seeds 0,1 -> 0,2)" in other.stderr


def test_seeds_share_the_features_of_weights(
    train_cached: Train,
) -> None:
    """A complete weights file leaves nothing to the seed, so clips pass once."""
    assert train_cached("--save-weights", "--out", "a").exit_code == 0
    (file,) = Path("a/weights").glob("cfas-1.*")
    done = train_cached("--weights", str(file), "--seed", "0,1,2", "--out", "b")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("clips encoded in") == 1
    assert "features of" not in done.stderr
    words = ("--weights", str(file), "--seed", "0,1,2", "--save-weights")
    assert train_cached(*words, "--out", "b").exit_code == 0
    assert len(list(Path("b/weights").glob("cfas-seed?-1.safetensors"))) == 3
    assert len(list(Path("b/weights").glob("encoder*"))) == 1
    again = train_cached(
        *("--weights", str(file), "--seed", "0,1,2", "--feature-cache", "none"),
        *("--out", "c"),
    )
    assert again.stderr.count("clips encoded in") == 1
    assert read_results("b")["strategies"] == read_results("c")["strategies"]
