"""Hashes of clips: equal for the same recording, different for others."""

from pathlib import Path

import pytest

from fake_store import make_store
from mmder_store import Store
from mmder_train.data.clip_hashes import HASH_CHARS, clip_hashes

STATUS = {1: "no_face", 2: "no_audio", 3: "failed"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Make a store of four clips, three of which lack something."""
    path = tmp_path_factory.mktemp("hashes") / "a.zarr"
    return make_store(path, clips=4, status=STATUS)


def test_each_clip_has_hashes_of_what_it_has(store: Store) -> None:
    """The clips of this store are not made from files."""
    hashes = clip_hashes(store, range(4))
    assert [len(h) for h in hashes] == [2, 1, 1, 0]
    every = [h for clip in hashes for h in clip]
    assert len(set(every)) == 4
    assert {len(h) for h in every} == {HASH_CHARS}


def test_files_are_told_apart_by_the_start_of_the_clip(store: Store) -> None:
    """Two parts of one file are two clips; the same part elsewhere is the same."""
    columns = store.columns
    columns["source_sha256"][:] = "f" * 64
    columns["start_s"][:3] = 0.0, 5.0, 0.0
    try:
        file_hash = [h[0] for h in clip_hashes(store, range(3))]
    finally:
        columns["source_sha256"][:] = ""
    assert file_hash[0] == file_hash[2]
    assert file_hash[0] != file_hash[1]


def test_a_copy_in_another_store_has_the_same_hashes(
    store: Store, tmp_path: Path
) -> None:
    copy = make_store(tmp_path / "b.zarr", clips=4, status=STATUS)
    other = make_store(tmp_path / "c.zarr", clips=4, status=STATUS, seed=1)
    assert clip_hashes(copy, range(4)) == clip_hashes(store, range(4))
    known = {h for clip in clip_hashes(store, range(4)) for h in clip}
    assert not known & {h for clip in clip_hashes(other, range(4)) for h in clip}
