"""Encoder-ready batches of an epoch."""

from train_runs import Train, read_results


def test_resampled_rfas_orders_change_the_training(train: Train) -> None:
    words = ["av.zarr", "--strategy", "rfas", "--method", "finetune"]
    words += ["--fold", "1", "--epochs", "2"]
    train(*words, "--out", "a")
    train(*words, "--rfas-resample", "--out", "b")
    a, b = (
        read_results(run)["strategies"]["rfas"]["folds"][0]["train_loss"]
        for run in "ab"
    )
    assert a != b
