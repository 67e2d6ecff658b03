"""Stores and runs that several rooms of the tests share."""

from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from fake_store import make_store
from mmder_train.models import videomae
from mmder_train.models.registry import ENCODERS, EncoderEntry
from mmder_train.models.videomae import PoolingConfig, Size
from train_runs import Train, invoke


@pytest.fixture(scope="session")
def audio_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of 23 audio clips of 4 speakers, with the emotion planted."""
    path = tmp_path_factory.mktemp("stores") / "sound.zarr"
    make_store(path, clips=23, speakers=4, modality="audio", planted="sound")
    return path


@pytest.fixture
def train_audio(
    audio_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Train:
    """Return `mmder-train` on the audio store, in an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        return invoke("--store", str(audio_store), *arguments)

    return call


@pytest.fixture
def small_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace `tiny` by an encoder that takes milliseconds, in an empty folder."""
    make = partial(videomae.Encoder, Size(dim=48, depth=1, heads=1, patch_px=56))
    entry = EncoderEntry(make=make, readout=PoolingConfig())
    monkeypatch.setitem(ENCODERS, "tiny", entry)
    monkeypatch.chdir(tmp_path)
