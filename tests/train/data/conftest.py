"""A store with one clip of each status that excludes clips."""

import pytest

from fake_store import make_store
from mmder_store import Store

STATUS = {0: "no_face", 1: "no_audio", 2: "no_video", 3: "failed"}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store of ten clips, the last six of which have status ``ok``."""
    path = tmp_path_factory.mktemp("clips") / "s.zarr"
    return make_store(path, clips=10, status=STATUS)
