"""Files of cached features: their keys, and files that are damaged or of other runs."""

import os
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from fake_store import make_store
from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_store.errors import FeaturesError, SettingsError
from mmder_train.config.train_config import TrainConfig
from mmder_train.data import selection
from mmder_train.experiment import feature_cache, setup
from mmder_train.experiment.batches import create_feed
from mmder_train.experiment.feature_extraction import load_or_extract_features
from mmder_train.experiment.types import RuntimeContext
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.runtime.device import FROZEN_DTYPE
from mmder_train.runtime.progress import silent
from train_runs import invoke

pytestmark = pytest.mark.usefixtures("small_encoder")
CONFIG = TrainConfig(
    strategies=("cfas",), labels="", protocol="", epochs=1, batch_size=2, lr=0.01
)
CLIP_IDS = ("a", "b", "c")
KEY = {"strategy": "cfas", "encoder": "tiny"}


def file_name(store: Store, strategy: str = "cfas", **change: object) -> str:
    """Return the name of the file of features after a change of the settings."""
    config = replace(CONFIG, **change)  # type: ignore[arg-type]
    experiment = setup.setup_experiment(store, config)
    key = feature_cache.cache_key(experiment, STRATEGIES[strategy])
    return feature_cache.file_name(key)


@pytest.mark.parametrize(
    ("strategy", "change"),
    [
        ("sfas", {}),
        ("cfas", {"spectrogram": "mfcc"}),
        ("cfas", {"spectrogram": "stft-mel-mfcc", "colormap": "gray"}),
        ("cfas", {"colormap": "gray"}),
        ("cfas", {"spectrogram_norm": "clip"}),
        ("cfas", {"spectrogram_norm": "global-mvn"}),
        ("cfas", {"image_norm": "half"}),
        ("cfas", {"encoder": "small"}),
        ("cfas", {"norm_eps": 1e-5}),
        ("cfas", {"pos_embed": False}),
        ("cfas", {"seed": 1}),
        ("cfas", {"compile": True}),
    ],
)
def test_each_setting_that_changes_features_changes_the_file(
    faces_store: Store, strategy: str, change: dict[str, Any]
) -> None:
    if "compile" in change and os.system("c++ --version > /dev/null 2>&1"):
        pytest.skip("no compiler")
    assert file_name(faces_store, strategy, **change) != file_name(faces_store)


def test_features_without_a_modality_have_files_of_their_own(
    faces_store: Store,
) -> None:
    experiment = setup.setup_experiment(faces_store, CONFIG)
    keys = [
        feature_cache.cache_key(experiment, STRATEGIES["cfas"], dropped)
        for dropped in (None, "video", "audio")
    ]
    assert len({feature_cache.file_name(key) for key in keys}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "ravdess-8"},
        {"protocol": "speakers-5"},
        {"fold": 1},
        {"epochs": 9},
        {"batch_size": 3},
        {"lr": 0.5},
        {"weight_decay": 0.0},
    ],
)
def test_settings_of_the_head_do_not_change_the_file(
    faces_store: Store, change: dict[str, Any]
) -> None:
    assert file_name(faces_store, **change) == file_name(faces_store)


def test_audio_settings_do_not_change_features_of_video(faces_store: Store) -> None:
    change = {"spectrogram": "mfcc", "spectrogram_norm": "clip"}
    assert file_name(faces_store, "video", **change) == file_name(faces_store, "video")


def test_the_seed_is_in_the_key_if_it_draws_something(faces_store: Store) -> None:
    """With weights from a file, it draws only the frame order of RFAS."""
    words = ["--store", str(faces_store.path), "--strategy", "audio", "--fold", "1"]
    words += ["--method", "finetune", "--epochs", "1", "--device", "cpu"]
    assert invoke(*words, "--save-weights", "--out", "a").exit_code == 0
    given = {"weights": "a/weights/audio-1.safetensors"}
    assert file_name(faces_store, **given) != file_name(faces_store)
    assert file_name(faces_store, seed=1, **given) == file_name(faces_store, **given)
    assert file_name(faces_store, "rfas", seed=1, **given) != file_name(
        faces_store, "rfas", **given
    )


def test_different_bytes_in_stores_of_the_same_sources_change_the_file(
    tmp_path: Path,
) -> None:
    """Two stores of the same sources may differ in how they were computed.

    The hash of a store covers them, and the key has the checksums of the arrays too.
    """
    one, two = (
        make_store(tmp_path / f"{seed}.zarr", clips=16, speakers=2, seed=seed)
        for seed in (0, 1)
    )
    assert one.sha256 != two.sha256
    assert file_name(one) != file_name(two)


def test_clips_without_a_label_set_are_not_encoded(faces_store: Store) -> None:
    cfas = STRATEGIES["cfas"]
    encodable = selection.select_encodable(faces_store, strategy=cfas)
    rows = set(encodable.row.tolist())
    assert rows == set(range(16)) - {2}
    for name in ("ravdess-7", "ravdess-8"):
        used = selection.select_clips(
            faces_store, strategy=cfas, labels=LABEL_SETS[name]
        )
        assert set(used.row.tolist()) <= rows
    audio = selection.select_encodable(faces_store, strategy=STRATEGIES["audio"])
    assert len(audio.row) == 16
    few = Store(faces_store.path)
    few.spec = replace(faces_store.spec, label_sets=(LABEL_SETS["cremad-4"],))
    emotions = few.columns["emotion"][
        selection.select_encodable(few, strategy=cfas).row
    ]
    assert set(emotions) == {"angry", "happy", "neutral", "sad"}


def damage(path: Path, kind: str) -> None:
    """Replace a file of features by a damaged or different one."""
    whole = path.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    zeros = torch.zeros(3, 4)
    contents: dict[str, Callable[[], bytes]] = {
        "truncated": lambda: whole[:-4],
        "empty": lambda: b"",
        "bit": lambda: whole[:-1] + bytes([whole[-1] ^ 1]),
        "huge header": lambda: struct.pack("<Q", 1 << 60) + whole[8:],
        "huge claim": lambda: whole.replace(b'"shape":[3,4]', b'"shape":[9,9]'),
        "pickle": lambda: b"\x80\x04." + whole,
        "no metadata": lambda: save({"features": zeros}),
        "deep": lambda: save(
            {"features": zeros}, metadata={feature_cache.METADATA: "[" * 99_999}
        ),
        "list": lambda: save(
            {"features": zeros}, metadata={feature_cache.METADATA: "[]"}
        ),
        "half": lambda: with_tensor(path, torch.zeros(3, 4).half()),
        "narrow": lambda: with_tensor(path, torch.zeros(3, 3)),
        "two": lambda: with_tensor(path, zeros, more=torch.ones(1)),
        "folder": lambda: whole,
    }
    path.write_bytes(contents[kind]())
    assert size > 0
    if kind == "folder":
        path.unlink()
        path.mkdir()


def with_tensor(path: Path, tensor: torch.Tensor, **more: torch.Tensor) -> bytes:
    """Return the file with another tensor under the same metadata."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    return save({"features": tensor, **more}, metadata=metadata)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("truncated", "Delete the file"),
        ("empty", "Delete the file"),
        ("bit", "its numbers differ from those that were written"),
        ("huge header", "Delete the file"),
        ("huge claim", "Delete the file"),
        ("pickle", "Delete the file"),
        ("no metadata", "not written by mmder-train"),
        ("deep", "Delete the file"),
        ("list", "not written by mmder-train"),
        ("half", r"F16 \[3, 4\], expected F32 \[3, 4\]"),
        ("narrow", r"F32 \[3, 3\], expected F32 \[3, 4\]"),
        ("two", "not written by mmder-train"),
        ("folder", "Delete the file"),
    ],
)
def test_a_damaged_file_is_rejected(tmp_path: Path, kind: str, text: str) -> None:
    path = tmp_path / "f.safetensors"
    features = torch.randn(3, 4)
    feature_cache.write(path, features, clip_ids=CLIP_IDS, key=KEY)
    read = feature_cache.read(path, clip_ids=CLIP_IDS, dim=4, key=KEY)
    assert read is not None
    assert torch.equal(read, features)
    damage(path, kind)
    with pytest.raises(FeaturesError, match=text) as error:
        feature_cache.read(path, clip_ids=CLIP_IDS, dim=4, key=KEY)
    assert "\n" not in str(error.value)


def test_a_file_with_another_key_or_other_clips_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    feature_cache.write(path, torch.zeros(3, 4), clip_ids=CLIP_IDS, key=KEY)
    with pytest.raises(FeaturesError, match="other settings than its name states"):
        feature_cache.read(path, clip_ids=CLIP_IDS, dim=4, key={**KEY, "seed": 1})
    with pytest.raises(FeaturesError, match="other clips than those of the store"):
        feature_cache.read(path, clip_ids=("a", "c", "b"), dim=4, key=KEY)
    path.unlink()
    assert feature_cache.read(path, clip_ids=CLIP_IDS, dim=4, key=KEY) is None


def test_fine_tuning_caches_no_features() -> None:
    assert feature_cache.cache_dir(Path("s"), None, method="finetune") is not None
    with pytest.raises(
        SettingsError, match="--feature-cache x: --method finetune caches no features"
    ):
        feature_cache.cache_dir(Path("s"), "x", method="finetune")


def test_every_file_that_computes_features_is_part_of_the_key(
    faces_store: Store, tmp_path: Path
) -> None:
    """The files are those whose functions are called between the store and the result.

    Not hashed are files that only name, count, check, start threads or write.
    """
    exempt = {
        "config/train_config.py",
        "data/folds.py",
        "data/reader_threads.py",
        "experiment/feature_cache.py",
        "experiment/feature_parts.py",
        "experiment/types.py",
        "runtime/distributed.py",
        "runtime/progress.py",
    }
    config = replace(CONFIG, strategies=("rfas",), spectrogram="mel")
    called: set[str] = set()

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code.co_filename)

    sys.setprofile(record)
    try:
        experiment = setup.setup_experiment(faces_store, config, tmp_path)
        context = RuntimeContext(progress=silent(), checkpoints=tmp_path)
        run = experiment.strategies[0]
        feed = create_feed(experiment, [run], context, rereads=True)
        load_or_extract_features(experiment, run, feed, context)
    finally:
        sys.setprofile(None)
    root = feature_cache.PACKAGE
    own = {Path(f).relative_to(root) for f in called if Path(f).is_relative_to(root)}
    hashed = {f.relative_to(root) for f in feature_cache.code_files()}
    names = {str(f) for f in own - hashed} - exempt
    assert names == set()
    # The encoder's own code was seen, so that the test can fail.
    for name in ("models/videomae.py", "fusion/mel.py", "training/evaluate.py"):
        assert Path(name) in own


def test_every_entry_of_the_code_exists() -> None:
    assert all(file.is_file() for file in feature_cache.code_files())
    assert len(feature_cache.code_files()) > len(feature_cache.CODE)


def test_the_precision_is_in_the_key(
    faces_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file_name(faces_store)
    monkeypatch.setitem(FROZEN_DTYPE, "cpu", torch.bfloat16)
    assert file_name(faces_store) != before
