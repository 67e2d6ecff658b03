"""A store of random audio arrays that a test may damage."""

import shutil
from pathlib import Path

import pytest

from fake_store import make_store


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "original"
    make_store(path, clips=20, modality="audio")
    return path


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """Folder of a sealed store of 20 clips in shards of 8."""
    return Path(shutil.copytree(original, tmp_path / "store"))
