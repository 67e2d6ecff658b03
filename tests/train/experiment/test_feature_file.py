"""Files of features are readable without mmder, and have no Python objects."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mmder_store.errors import SettingsError
from mmder_train.experiment.feature_file import check_feature_file, write_features
from mmder_train.experiment.feature_table import FeatureTable

TABLE = FeatureTable(
    clip_id=("a", "long name"),
    speaker=("01", "02"),
    emotion=("calm", "sad"),
    class_name=("neutral", "sad"),
    folds={"two-folds": np.array([1, -1])},
    seen=np.array([False, True]),
    features={
        "cfas": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        "audio": np.array([[0.5], [np.pi]], np.float32),
    },
    metadata={"store": {"name": "s"}},
)
TEXTS = {
    "clip_id": ["a", "long name"],
    "speaker": ["01", "02"],
    "emotion": ["calm", "sad"],
    "class": ["neutral", "sad"],
}


def test_numpy_archive(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "f.npz"
    write_features(path, TABLE)
    with np.load(path, allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in TEXTS} == TEXTS
        assert file["fold_two-folds"].tolist() == [1, -1]
        assert file["seen_by_encoder"].tolist() == [False, True]
        for name, x in TABLE.features.items():
            assert np.array_equal(file[f"features_{name}"], x)
        assert json.loads(str(file["metadata"])) == TABLE.metadata
    assert [p.name for p in path.parent.iterdir()] == ["f.npz"]


def test_parquet(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "f.parquet"
    check_feature_file(path)
    write_features(path, TABLE)
    read = pq.read_table(path)
    assert {name: read[name].to_pylist() for name in TEXTS} == TEXTS
    assert read["fold_two-folds"].to_pylist() == [1, -1]
    assert read["features_cfas"].to_pylist() == [[1, 2, 3], [4, 5, 6]]
    assert read["features_audio"].to_pylist() == [[0.5], [float(np.float32(np.pi))]]
    assert json.loads(read.schema.metadata[b"mmder"]) == TABLE.metadata


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.csv", "--out f.csv: expected a file name that ends with .npz or .parquet"),
        ("f", "--out f: expected a file name that ends with .npz or .parquet"),
        ("folder.npz", "--out folder.npz: is a folder. Choose a file name."),
        ("f.parquet", "install mmder with the extra 'parquet', or write NAME.npz"),
    ],
)
def test_wrong_file_names(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing package is an error before anything is computed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Path("folder.npz").mkdir()
    with pytest.raises(SettingsError) as caught:
        check_feature_file(Path(name))
    assert text in str(caught.value)
