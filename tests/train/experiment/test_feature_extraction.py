"""Features of a frozen encoder in a run: extracted once, then read from the cache."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fake_store import make_store
from mmder_store import Store
from mmder_store.verify import verify_store
from mmder_train.experiment import feature_extraction, setup
from mmder_train.experiment.feature_extraction import extract_features
from mmder_train.models.videomae import Encoder, Size
from mmder_train.runtime.progress import silent
from mmder_train.training.batched_heads import HeadPlan, HeadTask, train_heads
from train_runs import Train, invoke, read_results


def test_a_frozen_encoder_is_neither_trained_nor_tracked() -> None:
    torch.manual_seed(0)
    encoder = Encoder(Size(dim=24, depth=2, heads=1))
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    modes = []
    encoder.blocks[1].register_forward_hook(
        lambda *_: modes.append((torch.is_inference_mode_enabled(), encoder.training))
    )
    clips = torch.randn(4, 3, 16, 224, 224)
    index = torch.tensor([2, 0, 3, 1])
    batches = [(part, clips[part]) for part in torch.split(index, 2)]
    features = extract_features(encoder, batches, device=torch.device("cpu"))
    assert modes == [(True, False)] * 2
    assert not features.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(features, encoder(clips))
    task = HeadTask(
        title="fold",
        features=features,
        labels=np.array([0, 1, 0, 1]),
        train=np.arange(4),
        seed=0,
        clip_ids=["a", "b", "c", "d"],
    )
    plan = HeadPlan(classes=2, epochs=3, batch_size=2, lr=0.01, weight_decay=0.05)
    train_heads([task], plan, progress=silent())
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])


def test_a_second_run_reads_the_features_and_has_the_same_results(
    train_cached: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train_cached("--out", "a")
    assert first.exit_code == 0, first.output
    assert "cfas: 15 clips encoded in" in first.stderr
    (file,) = Path("cache").iterdir()
    assert f"features cached in {file.absolute()}" in first.stderr

    def never(_: setup.Experiment) -> None:
        pytest.fail("an encoder was built")

    monkeypatch.setattr(setup.Experiment, "build_encoder", never)
    again = train_cached("--out", "b")
    assert again.exit_code == 0, again.output
    assert f"cfas: features of 15 clips read from {file.absolute()}" in again.stderr
    assert read_results("a") == read_results("b")
    for options in (
        ("--labels", "ravdess-8"),
        ("--protocol", "speakers-5"),
        ("--fold", "1"),
        ("--lr", "0.1", "--epochs", "3", "--batch-size", "4", "--weight-decay", "0"),
        ("--seed", "0"),
    ):
        done = train_cached(*options, "--out", "-".join(options))
        assert done.exit_code == 0, done.output
        assert "read from" in done.stderr
    assert list(Path("cache").iterdir()) == [file]


def test_the_cache_does_not_change_the_results(train_cached: Train) -> None:
    for out, cache in (("a", "cache"), ("b", "cache"), ("c", "none")):
        done = train_cached("--feature-cache", cache, "--out", out)
        assert done.exit_code == 0, done.output
    assert "features are not cached" in done.stderr
    assert read_results("a") == read_results("b") == read_results("c")


def test_weights_are_saved_when_features_are_read(train_cached: Train) -> None:
    words = ("--fold", "1", "--save-weights")
    for out in ("a", "b"):
        assert train_cached(*words, "--out", out).exit_code == 0
    name = "weights/cfas-1.safetensors"
    assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


@pytest.mark.usefixtures("small_encoder")
def test_a_run_does_not_change_the_store(tmp_path: Path) -> None:
    store: Store = make_store(tmp_path / "s.zarr", clips=16, speakers=2)
    before = {f: f.stat().st_mtime_ns for f in store.path.rglob("*")}
    words = ["--store", "s.zarr", "--device", "cpu", "--epochs", "1", "--out", "a"]
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    assert {f: f.stat().st_mtime_ns for f in store.path.rglob("*")} == before
    assert list(verify_store(store)) == []
    (file,) = Path("s.zarr.features").iterdir()
    assert file.name.startswith("cfas-tiny-")
    assert load_file(file)["features"].shape == (16, 48)


def test_a_damaged_file_stops_the_run_with_one_line(train_cached: Train) -> None:
    train_cached("--out", "a")
    (file,) = Path("cache").iterdir()
    file.write_bytes(file.read_bytes()[:-4])
    done = train_cached("--out", "b")
    assert done.exit_code == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("mmder-train: error: features ")
    assert (
        "Delete the file to encode the clips again, or use --feature-cache none."
        in line
    )
    assert train_cached("--out", "b", "--feature-cache", "none").exit_code == 0


def test_an_unwritable_cache_is_a_warning(train_cached: Train) -> None:
    Path("file").write_text("mine")
    done = train_cached("--feature-cache", "file", "--out", "a")
    assert done.exit_code == 0, done.output
    assert "features cannot be cached in file (File exists)" in done.stderr
    assert Path("file").read_text() == "mine"


def test_features_that_are_not_finite_name_their_clips(
    train_cached: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_finite(*_: object, **__: object) -> torch.Tensor:
        return torch.full((15, 48), float("nan"))

    monkeypatch.setattr(feature_extraction, "extract_features", not_finite)
    done = train_cached("--out", "a")
    assert done.exit_code == 1
    assert (
        "the encoder's output is not finite for 15 clips, the first 'c0000'"
        in done.stderr
    )
    assert not Path("cache").exists()


def test_features_of_a_store_that_was_prepared_again_are_not_cached(
    small_encoder: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be found later under the hash of the former store."""
    store = tmp_path / "s.zarr"
    words = ["--store", str(store), "--strategy", "audio", "--device", "cpu"]
    words += ["--epochs", "1", "--fold", "1"]
    original = feature_extraction.extract_features

    def prepare_again(*arguments: Any, **options: Any) -> torch.Tensor:
        features = original(*arguments, **options)
        make_store(tmp_path / "new", clips=24, speakers=3, modality="audio", seed=1)
        shutil.rmtree(store)
        (tmp_path / "new").rename(store)
        return features

    make_store(store, clips=24, speakers=3, modality="audio")
    with monkeypatch.context() as patched:
        patched.setattr(feature_extraction, "extract_features", prepare_again)
        done = invoke(*words, "--out", "a")
    assert done.exit_code == 0, done.output
    assert "not cached, because the store was prepared again" in done.stderr
    assert not (tmp_path / "s.zarr.features").exists()


def test_an_interruption_loses_only_the_last_part(
    train_cached: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a part after each batch: 8 clips are kept, 7 are encoded again."""
    monkeypatch.setattr(feature_extraction, "PART_S", -1.0)
    assert train_cached("--out", "whole").exit_code == 0
    (whole,) = Path("cache").iterdir()
    content = whole.read_bytes()
    whole.unlink()
    original = feature_extraction.extract_features
    encoded: list[torch.Tensor] = []

    def interrupt(*arguments: Any, **options: Any) -> torch.Tensor:
        if len(encoded) == 1:
            raise KeyboardInterrupt
        encoded.append(original(*arguments, **options))
        return encoded[-1]

    with monkeypatch.context() as patched:
        patched.setattr(feature_extraction, "extract_features", interrupt)
        assert train_cached("--out", "a").exit_code == 130
    (part,) = Path("cache").iterdir()
    assert part.name == whole.name.replace(".safe", ".part-0-8.safe")
    again = train_cached("--out", "a")
    assert again.exit_code == 0, again.output
    assert "cfas: features of 8 clips read from parts" in again.stderr
    assert "cfas: 7 clips encoded in" in again.stderr
    assert list(Path("cache").iterdir()) == [whole]
    assert whole.read_bytes() == content
    assert read_results("a") == read_results("whole")


def test_the_encoder_is_built_once_for_all_strategies(
    train_cached: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more to be saved, for all folds."""
    built = []
    original = setup.Experiment.build_encoder

    def count(experiment: setup.Experiment) -> Any:
        built.append(experiment.config.encoder)
        return original(experiment)

    monkeypatch.setattr(setup.Experiment, "build_encoder", count)
    done = train_cached("--strategy", "cfas,sfas,audio", "--save-weights", "--out", "a")
    assert done.exit_code == 0, done.output
    heads_and_encoder = 6 + 1
    assert len(list(Path("a/weights").iterdir())) == heads_and_encoder
    assert len(built) == 2
