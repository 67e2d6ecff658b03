"""Stores and runs that several rooms of the tests share."""

from pathlib import Path

import pytest
from click.testing import Result

from fake_store import make_store
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
