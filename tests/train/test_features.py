"""Features of a frozen encoder: made once, read back, and never another run's."""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save

from fake_store import make_store
from mmder_store import Store
from mmder_store.emotions import LABEL_SETS
from mmder_store.errors import FeaturesError, SettingsError
from mmder_train.cli.main import cli
from mmder_train.config.train_config import TrainConfig
from mmder_train.data import selection
from mmder_train.experiment import feature_cache, setup
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.models import videomae
from mmder_train.models.registry import ENCODERS, EncoderEntry
from mmder_train.models.videomae import PoolingConfig, Size

Train = Callable[..., Result]
CONFIG = TrainConfig(
    strategies=("cfas",), labels="", protocol="", epochs=1, batch_size=2, lr=0.01
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make = partial(videomae.Encoder, Size(dim=48, depth=1, heads=1))
    monkeypatch.setitem(
        ENCODERS, "tiny", EncoderEntry(make=make, readout=PoolingConfig())
    )
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Make a store whose third clip is no use to some strategies."""
    path = tmp_path_factory.mktemp("stores") / "s.zarr"
    return make_store(path, clips=16, speakers=2, status={2: "no_face"})


@pytest.fixture
def train(store: Store, tmp_path: Path) -> Train:
    def call(*more: str) -> Result:
        words = ["--store", str(store.path), "--device", "cpu", "--epochs", "2"]
        kept = (
            []
            if "--feature-cache" in more
            else ["--feature-cache", str(tmp_path / "kept")]
        )
        return CliRunner().invoke(cli, [*words, *kept, *more])

    return call


def results(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return found


def test_a_second_run_encodes_nothing_and_gives_the_same(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train("--out", "a")
    assert first.exit_code == 0, first.output
    assert "cfas: 15 clips encoded in" in first.stderr
    (file,) = Path("kept").iterdir()
    assert str(file) in first.stderr

    def never(_: setup.Experiment) -> None:
        pytest.fail("an encoder was made")

    monkeypatch.setattr(setup.Experiment, "first_encoder", never)
    again = train("--out", "b")
    assert again.exit_code == 0, again.output
    assert f"cfas: features of 15 clips read from {file.absolute()}" in again.stderr
    assert results("a") == results("b")
    for more in (
        ("--labels", "ravdess-8"),
        ("--protocol", "speakers-5"),
        ("--fold", "1"),
        ("--lr", "0.1", "--epochs", "3", "--batch-size", "4", "--weight-decay", "0"),
        ("--seed", "0"),
    ):
        done = train(*more, "--out", "-".join(more))
        assert done.exit_code == 0, done.output
        assert "read from" in done.stderr
    assert list(Path("kept").iterdir()) == [file]


def test_kept_or_not_the_numbers_are_the_same(train: Train) -> None:
    for out, where in (("a", "kept"), ("b", "kept"), ("c", "none")):
        done = train("--feature-cache", where, "--out", out)
        assert done.exit_code == 0, done.output
    assert "features are not kept" in done.stderr
    assert results("a") == results("b") == results("c")


def test_weights_are_saved_though_no_encoder_was_needed(train: Train) -> None:
    words = ("--fold", "1", "--save-weights")
    for out in ("a", "b"):
        assert train(*words, "--out", out).exit_code == 0
    name = "weights/cfas-1.safetensors"
    assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_the_store_stays_as_it_was_sealed(tmp_path: Path) -> None:
    made = make_store(tmp_path / "s.zarr", clips=16, speakers=2)
    before = {f: f.stat().st_mtime_ns for f in made.path.rglob("*")}
    words = ["--store", "s.zarr", "--device", "cpu", "--epochs", "1", "--out", "a"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert {f: f.stat().st_mtime_ns for f in made.path.rglob("*")} == before
    assert list(made.problems()) == []
    (file,) = Path("s.zarr.features").iterdir()
    assert file.name.startswith("cfas-tiny-")
    assert load_file(file)["features"].shape == (16, 48)


def key(store: Store, strategy: str = "cfas", **change: object) -> str:
    run = setup.setup_experiment(store, replace(CONFIG, **change))  # type: ignore[arg-type]
    return feature_cache.file_name(feature_cache.cache_key(run, STRATEGIES[strategy]))


@pytest.mark.parametrize(
    ("strategy", "change"),
    [
        ("sfas", {}),
        ("cfas", {"spectrogram": "stft"}),
        ("cfas", {"colormap": "gray"}),
        ("cfas", {"spectrogram_norm": "clip"}),
        ("cfas", {"image_norm": "half"}),
        ("cfas", {"encoder": "small"}),
        ("cfas", {"norm_eps": 1e-5}),
        ("cfas", {"pos_embed": False}),
        ("cfas", {"seed": 1}),
        ("cfas", {"compile": True}),
    ],
)
def test_each_ingredient_makes_another_file(
    store: Store, strategy: str, change: dict[str, Any]
) -> None:
    if "compile" in change and os.system("c++ --version > /dev/null 2>&1"):
        pytest.skip("nothing to compile with")
    assert key(store, strategy, **change) != key(store)


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
def test_what_heads_alone_take_makes_no_other_file(
    store: Store, change: dict[str, Any]
) -> None:
    assert key(store, **change) == key(store)


def test_pictures_alone_care_for_no_sound(store: Store) -> None:
    assert key(store, "video", audio="stft", scale="clip") == key(store, "video")


def test_the_seed_counts_where_it_draws(store: Store) -> None:
    """With weights of a file, for the places of RFAS alone."""
    words = ["--store", str(store.path), "--strategy", "audio", "--method", "finetune"]
    words += ["--fold", "1", "--epochs", "1", "--device", "cpu", "--save-weights"]
    assert CliRunner().invoke(cli, [*words, "--out", "a"]).exit_code == 0
    given = {"weights": "a/weights/audio-1.safetensors"}
    assert key(store, **given) != key(store)
    assert key(store, seed=1, **given) == key(store, **given)
    assert key(store, "rfas", seed=1, **given) != key(store, "rfas", **given)


def test_other_bytes_in_a_store_of_the_same_hash(tmp_path: Path) -> None:
    """Two stores of the same sources that were not computed alike."""
    one, two = (
        make_store(tmp_path / f"{seed}.zarr", clips=16, speakers=2, seed=seed)
        for seed in (0, 1)
    )
    assert one.sha256 == two.sha256
    assert key(one) != key(two)


def test_clips_of_no_label_set_are_not_encoded(store: Store) -> None:
    cfas = STRATEGIES["cfas"]
    found = selection.select_encodable(store, strategy=cfas)
    every = set(found.row.tolist())
    assert every == set(range(16)) - {2}
    for labels in ("ravdess-7", "ravdess-8"):
        used = selection.select_clips(store, strategy=cfas, labels=LABEL_SETS[labels])
        assert set(used.row.tolist()) <= every
    assert (
        len(selection.select_encodable(store, strategy=STRATEGIES["audio"]).row) == 16
    )
    spec = replace(store.spec, label_sets=(LABEL_SETS["cremad-4"],))
    few = Store(store.path)
    few.spec = spec
    emotions = few.columns["emotion"][
        selection.select_encodable(few, strategy=cfas).row
    ]
    assert set(emotions) == {"angry", "happy", "neutral", "sad"}


IDS = ("a", "b", "c")
RECIPE = {"strategy": "cfas", "encoder": "tiny"}


def spoil(path: Path, what: str) -> None:
    held = path.read_bytes()
    (size,) = struct.unpack("<Q", held[:8])
    other = torch.zeros(3, 4)
    many: dict[str, Callable[[], bytes]] = {
        "truncated": lambda: held[:-4],
        "empty": lambda: b"",
        "bit": lambda: held[:-1] + bytes([held[-1] ^ 1]),
        "huge header": lambda: struct.pack("<Q", 1 << 60) + held[8:],
        "huge claim": lambda: held.replace(b'"shape":[3,4]', b'"shape":[9,9]'),
        "pickle": lambda: b"\x80\x04." + held,
        "no metadata": lambda: save({"features": other}),
        "deep": lambda: save(
            {"features": other}, metadata={feature_cache.METADATA: "[" * 99_999}
        ),
        "list": lambda: save(
            {"features": other}, metadata={feature_cache.METADATA: "[]"}
        ),
        "half": lambda: resaved(path, torch.zeros(3, 4).half()),
        "narrow": lambda: resaved(path, torch.zeros(3, 3)),
        "two": lambda: resaved(path, other, more=torch.ones(1)),
        "folder": lambda: held,
    }
    path.write_bytes(many[what]())
    assert size > 0
    if what == "folder":
        path.unlink()
        path.mkdir()


def resaved(path: Path, tensor: torch.Tensor, **more: torch.Tensor) -> bytes:
    """Give the file with another tensor under the same description."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    return save({"features": tensor, **more}, metadata=about)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("truncated", "Delete the file"),
        ("empty", "Delete the file"),
        ("bit", "its numbers are not those that were written"),
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
def test_a_damaged_file_is_refused(tmp_path: Path, what: str, text: str) -> None:
    path = tmp_path / "f.safetensors"
    whole = torch.randn(3, 4)
    feature_cache.write(path, whole, clip_ids=IDS, made_by=RECIPE)
    found = feature_cache.read(path, clip_ids=IDS, dim=4, made_by=RECIPE)
    assert found is not None
    assert torch.equal(found, whole)
    spoil(path, what)
    with pytest.raises(FeaturesError, match=text) as error:
        feature_cache.read(path, clip_ids=IDS, dim=4, made_by=RECIPE)
    assert "\n" not in str(error.value)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    feature_cache.write(path, torch.zeros(3, 4), clip_ids=IDS, made_by=RECIPE)
    with pytest.raises(FeaturesError, match="other settings than its name says"):
        feature_cache.read(path, clip_ids=IDS, dim=4, made_by={**RECIPE, "seed": 1})
    with pytest.raises(FeaturesError, match="other clips than those of the store"):
        feature_cache.read(path, clip_ids=("a", "c", "b"), dim=4, made_by=RECIPE)
    path.unlink()
    assert feature_cache.read(path, clip_ids=IDS, dim=4, made_by=RECIPE) is None


def test_a_damaged_file_is_one_line_of_the_program(train: Train) -> None:
    train("--out", "a")
    (file,) = Path("kept").iterdir()
    file.write_bytes(file.read_bytes()[:-4])
    done = train("--out", "b")
    assert done.exit_code == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("mmder-train: error: features ")
    assert (
        "Delete the file: it is then made again; or say --feature-cache none." in line
    )
    assert train("--out", "b", "--feature-cache", "none").exit_code == 0


def test_where_nothing_can_be_written_is_said_and_no_error(train: Train) -> None:
    Path("file").write_text("mine")
    done = train("--feature-cache", "file", "--out", "a")
    assert done.exit_code == 0, done.output
    assert "features cannot be kept in file (File exists)" in done.stderr
    assert Path("file").read_text() == "mine"


def test_what_is_tuned_whole_has_no_features() -> None:
    assert feature_cache.cache_dir(Path("s"), None, method="finetune") is not None
    with pytest.raises(
        SettingsError, match="--feature-cache x: --method finetune keeps none"
    ):
        feature_cache.cache_dir(Path("s"), "x", method="finetune")


def test_an_encoder_that_gives_no_number_is_named(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> torch.Tensor:
        return torch.full((15, 48), float("nan"))

    monkeypatch.setattr(feature_cache, "pooled", nowhere)
    done = train("--out", "a")
    assert done.exit_code == 1
    assert "the encoder gives no number for 15 clips, the first 'c0000'" in done.stderr
    assert not Path("kept").exists()
