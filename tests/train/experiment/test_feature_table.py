"""Features for other programs are those of the frozen encoder, with clips and folds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from fake_store import make_store
from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS
from mmder_train import FusionDataset, build_encoder
from mmder_train.config.train_config import TrainConfig
from mmder_train.experiment.feature_table import seen_by_encoder, setup_features
from mmder_train.weights.seen_clips import SeenClips
from train_runs import Train, bare_weights, invoke

CONTIGUOUS = PROTOCOLS["ravdess-contiguous-6"]


def write_features(store: Store, *arguments: str) -> Result:
    """Run `mmder-train features`, with a feature cache in the current folder."""
    words = ("--store", str(store.path), "--device", "cpu", "--feature-cache", "cache")
    return invoke("features", *words, *arguments)


def load_columns(path: str) -> dict[str, np.ndarray]:
    """Read all arrays of a file; an object array would raise an error."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_features_are_outputs_of_the_encoder(
    faces_store: Store, train_cached: Train
) -> None:
    result = write_features(faces_store, "--strategy", "cfas,audio", "--out", "f.npz")
    assert result.exit_code == 0, result.output
    columns = load_columns("f.npz")
    torch.manual_seed(0)
    encoder = build_encoder("tiny").eval()
    for strategy in ("cfas", "audio"):
        expected = {}
        for side in ("train", "test"):
            dataset = FusionDataset(faces_store, strategy=strategy, side=side, fold=1)
            with torch.no_grad():
                for i in range(len(dataset)):
                    item = dataset[i]
                    expected[item["clip_id"]] = encoder(item["x"][None])[0].numpy()
        features = columns[f"features_{strategy}"]
        assert features.dtype == np.float32
        for clip_id, row in zip(columns["clip_id"], features, strict=True):
            np.testing.assert_allclose(row, expected[clip_id], rtol=1e-4, atol=1e-5)


def test_columns_are_those_of_the_store(
    faces_store: Store, small_encoder: None
) -> None:
    """The clip without a face is excluded from both strategies, and counted."""
    result = write_features(faces_store, "--strategy", "audio,cfas", "--out", "f.npz")
    assert "audio: 1 clips excluded, because another strategy" in result.output
    assert "cfas: 1 clips excluded: 1 no_face" in result.output
    assert "random weights" in result.output
    columns, stored = load_columns("f.npz"), faces_store.columns
    rows = [i for i in range(16) if i != 2]
    assert columns["clip_id"].tolist() == [f"c{i:04d}" for i in rows]
    for name in ("speaker", "emotion"):
        assert columns[name].tolist() == [stored[name][i] for i in rows]
    class_of = LABEL_SETS["ravdess-7"].class_of
    assert columns["class"].tolist() == [class_of[e] for e in columns["emotion"]]
    assert columns["fold_ravdess-contiguous-6"].tolist() == [
        CONTIGUOUS.fold_of[s] for s in columns["speaker"]
    ]
    speakers = sorted(set(columns["speaker"]))
    assert columns["fold_speakers-5"].tolist() == [
        1 + speakers.index(s) for s in columns["speaker"]
    ]
    assert not columns["seen_by_encoder"].any()


def test_linear_probe_and_features_share_the_cache(
    faces_store: Store, train_cached: Train
) -> None:
    assert write_features(faces_store, "--out", "f.npz").exit_code == 0
    assert "read from" in train_cached("--out", "run").output
    first = Path("f.npz").read_bytes()
    assert "read from" in write_features(faces_store, "--out", "f.npz").output
    assert Path("f.npz").read_bytes() == first


def test_store_without_folds_has_features(tmp_path: Path, small_encoder: None) -> None:
    """One speaker is enough: nothing is trained. An audio store has no other inputs."""
    store = make_store(tmp_path / "alone", clips=8, speakers=1, modality="audio")
    result = write_features(store, "--strategy", "audio", "--out", "f.npz")
    assert result.exit_code == 0, result.output
    assert load_columns("f.npz")["features_audio"].shape == (8, 48)
    result = write_features(store, "--strategy", "video", "--out", "g.npz")
    assert result.exit_code == 1
    assert "needs video" in result.output
    assert not Path("g.npz").exists()


def test_clips_that_the_encoder_has_seen_are_marked(faces_store: Store) -> None:
    """Clips of a speaker count as seen if one of them was trained on."""
    config = TrainConfig(
        strategies=("cfas",), labels="", protocol="", epochs=1, batch_size=1, lr=1
    )
    experiment = setup_features(faces_store, config, None)
    finetuned = {
        "store_sha256": faces_store.sha256,
        "config": {"method": "finetune"},
        "trained_clips": ["c0009"],
    }
    seen = SeenClips(clips=8, speakers={"handmade": ("01",)}).to_json()
    speakers = np.array(experiment.strategies[0].clips.speaker)
    for metadata, marked in (
        ({}, []),
        (finetuned, ["24"]),
        (finetuned | {"store_sha256": "of another store"}, []),
        (finetuned | {"config": {"method": "linear-probe"}}, []),
        (finetuned | {"trained_clips": None}, []),
        ({"pretraining": {"seen": seen}}, ["01"]),
        (finetuned | {"pretraining": {"seen": seen}}, ["01", "24"]),
    ):
        loaded = bare_weights(metadata)
        found = seen_by_encoder(replace(experiment, weights=loaded))
        assert found.tolist() == np.isin(speakers, marked).tolist()


def test_settings_of_the_head_do_not_matter(faces_store: Store) -> None:
    """There are no folds, so that no protocol can be wrong."""
    config = TrainConfig(
        strategies=("cfas",), labels="", protocol="none", epochs=1, batch_size=1, lr=1
    )
    (run,) = setup_features(faces_store, config, None).strategies
    assert run.folds == ()
    with pytest.raises(ValueError, match="--labels other: this store has ravdess-7"):
        setup_features(
            faces_store,
            TrainConfig(
                strategies=("cfas",),
                labels="other",
                protocol="",
                epochs=1,
                batch_size=1,
                lr=1,
            ),
            None,
        )
