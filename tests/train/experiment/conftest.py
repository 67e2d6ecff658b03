"""Small stores and a small encoder, so that a run takes seconds."""

from pathlib import Path

import pytest
from click.testing import Result

from fake_store import make_store
from mmder_store import Store
from train_runs import Train, invoke


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make stores of few speakers: folds 1 and 6, and in audio fold 3, have clips."""
    folder = tmp_path_factory.mktemp("stores")
    make_store(folder / "av.zarr", clips=16, speakers=2, planted="picture sound")
    make_store(
        folder / "sound.zarr", clips=24, speakers=3, modality="audio", planted="sound"
    )
    make_store(folder / "alone.zarr", clips=8, speakers=1, modality="audio")
    return folder


@pytest.fixture
def train(stores: Path, small_encoder: None) -> Train:
    """Return `mmder-train` on one of the stores, with the small encoder."""

    def call(store: str, *arguments: str) -> Result:
        return invoke("--store", str(stores / store), "--device", "cpu", *arguments)

    return call


@pytest.fixture(scope="session")
def faces_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Make a store whose third clip has no face, which some strategies need."""
    path = tmp_path_factory.mktemp("stores") / "s.zarr"
    return make_store(path, clips=16, speakers=2, status={2: "no_face"})


@pytest.fixture
def train_cached(faces_store: Store, small_encoder: None, tmp_path: Path) -> Train:
    """Return `mmder-train` with a linear probe, and a feature cache of the test."""

    def call(*arguments: str) -> Result:
        words = ["--store", str(faces_store.path), "--device", "cpu", "--epochs", "2"]
        if "--feature-cache" not in arguments:
            words += ["--feature-cache", str(tmp_path / "cache")]
        return invoke(*words, *arguments)

    return call
