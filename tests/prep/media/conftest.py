"""Clips of many containers, written once per session."""

from pathlib import Path

import pytest

from media_clips import CONTAINERS
from synth import Synth, write


@pytest.fixture(scope="session")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write 20 seconds of each container."""
    folder = tmp_path_factory.mktemp("long")
    return {
        name: write(folder / name, Synth(**{**vars(spec), "duration_s": 20.0}))
        for name, spec in CONTAINERS.items()
    }


@pytest.fixture(scope="session")
def short_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write 2 seconds of some containers."""
    folder = tmp_path_factory.mktemp("short")
    return {
        name: write(
            folder / name, Synth(**{**vars(CONTAINERS[name]), "duration_s": 2.0})
        )
        for name in ("mp4", "mkv", "webm", "avi", "mpg", "flv", "wav")
    }
