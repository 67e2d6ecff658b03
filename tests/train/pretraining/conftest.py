"""Small stores and a small encoder, so that a pre-training takes seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fake_store import make_store
from train_runs import invoke

Pretrain = Callable[..., Result]
"""`mmder-train pretrain` on one of the stores; takes the other options."""


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of two speakers with faces, and one of four with audio only."""
    folder = tmp_path_factory.mktemp("stores")
    make_store(folder / "av.zarr", clips=16, speakers=2, planted="picture sound")
    make_store(
        folder / "sound.zarr",
        clips=32,
        speakers=4,
        modality="audio",
        planted="sound",
        seed=1,
    )
    return folder


@pytest.fixture
def pretrain(stores: Path, small_encoder: None) -> Pretrain:
    """Return `mmder-train pretrain` with the small encoder on the CPU."""

    def call(store: str, *arguments: str) -> Result:
        words = ("--store", str(stores / store), "--encoder", "tiny")
        return invoke("pretrain", *words, "--device", "cpu", *arguments)

    return call
