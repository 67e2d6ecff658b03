"""A worker that would write other bytes, or fail clips, is found before it does."""

import shutil
from pathlib import Path

import pytest

from mmder_prep.corpora.manifest_file import read_manifest
from mmder_prep.pipeline import worker_check
from mmder_prep.pipeline.fingerprint import (
    PACKAGES,
    SOURCE_KEY,
    compute_fingerprint,
    describe_difference,
)
from mmder_prep.pipeline.worker_check import (
    UnfitWorkerError,
    check_media,
    check_store,
    require,
)
from mmder_store import ledger


def test_the_fingerprint_names_what_determines_the_bytes() -> None:
    found = dict(compute_fingerprint())
    assert {*PACKAGES, "FFmpeg", "machine", "store format", SOURCE_KEY} == set(found)
    assert "not installed" not in found.values()
    assert describe_difference(found, found) == ""
    assert describe_difference({**found, "numpy": "1.0"}, found) == (
        f"numpy 1.0, expected {found['numpy']}"
    )
    other = {k: v for k, v in found.items() if k != "av"} | {SOURCE_KEY: "x"}
    assert describe_difference(other, found) == (
        f"av not installed, expected {found['av']}, "
        "the source files of its mmder differ"
    )


def test_the_media_must_be_the_same(corpus: Path, tmp_path: Path) -> None:
    """An empty folder at the place of the mount is no better than none."""
    root = tmp_path / "media"
    shutil.copytree(corpus, root)
    manifest = read_manifest(root / "m.csv", root=None)
    required = require(manifest.clips(), root, compute_fingerprint())
    assert len(required.samples) == 7
    check_media(required)
    (root / "clip3.mp4").write_bytes(b"other")
    with pytest.raises(UnfitWorkerError, match=r"sees another file at .*clip3\.mp4"):
        check_media(required)
    for file in root.iterdir():
        file.unlink()
    with pytest.raises(UnfitWorkerError, match=r"does not see .*clip0\.mp4; mount"):
        check_media(required)
    root.rmdir()
    with pytest.raises(UnfitWorkerError, match="does not see the media folder"):
        check_media(required)


def test_the_store_must_be_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_check, "STORE_TIMEOUT_S", 0.1)
    with pytest.raises(UnfitWorkerError, match="it sees no store at"):
        check_store(str(tmp_path / "none"), "run")
    with ledger.announce_run(tmp_path, "run"):
        check_store(str(tmp_path), "run")
        with pytest.raises(UnfitWorkerError, match="another folder or an older run"):
            check_store(str(tmp_path), "another run")
    assert ledger.read_run(tmp_path) == ""
