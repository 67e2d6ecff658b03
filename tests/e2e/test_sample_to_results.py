"""The whole way, as the README tells it: clips, store, fused batches, WAR and UAR."""

import csv
import json
from pathlib import Path

import pytest

from mmder_store import Store
from programs import run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("e2e")
    run("mmder_prep", "sample", "--out", folder / "sample", "--actors", 5)
    run("mmder_prep", "ravdess", "--root", folder / "sample", "--out", folder / "store")
    return folder / "store"


def test_every_generated_clip_is_whole_and_has_a_face(store: Path) -> None:
    """40 clips of 5 actors: all ok, none clamped, the face in all frames searched."""
    opened = Store(store)
    columns = opened.columns
    assert len(opened) == 40
    assert set(columns["status"]) == {"ok"}
    assert (columns["clamped"] == 0).all()
    assert (columns["faces_found"] == columns["faces_searched"]).all()
    assert "as it was written" in run("mmder_prep", "verify", store).stdout


def test_training_tests_each_speaker_once_and_never_in_training(
    store: Path, tmp_path: Path
) -> None:
    """Actors 1 to 4 are fold 1, actor 5 is fold 2; the table names the picture."""
    out = tmp_path / "run"
    said = run("mmder_train", "--store", store, "--strategy", "fslf", "--out", out)
    assert "WAR" in said.stdout
    assert (out / "confusion-fslf.png").stat().st_size > 1000
    results = json.loads((out / "results.json").read_text())
    found = results["strategies"]["fslf"]
    assert [f["speakers"] for f in found["folds"]] == [["01", "02", "03", "04"], ["05"]]
    assert [f["train_clips"] for f in found["folds"]] == [8, 32]
    with (out / "predictions-fslf.csv").open() as file:
        tested = [row["clip_id"] for row in csv.DictReader(file)]
    assert sorted(tested) == sorted(Store(store).columns["clip_id"])
    assert results["store"]["sha256"] == Store(store).sha256
