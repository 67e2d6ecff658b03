"""Label maps: words of a manifest, words of the vocabulary, and further classes."""

from pathlib import Path

import pytest

from mmder_prep.corpora.label_map import read_label_map
from mmder_store.errors import ManifestError


def write(folder: Path, *lines: str) -> Path:
    (folder / "map.csv").write_text("\n".join(("label,emotion", *lines)), "utf-8")
    return folder / "map.csv"


def test_labels_are_mapped_in_any_case(tmp_path: Path) -> None:
    """An empty emotion is allowed, and a further class is a label too."""
    file = write(tmp_path, "WUT,Anger", "Langeweile,Boredom", "unklar,", "x  y,sad")
    assert read_label_map(file) == {
        "wut": "angry",
        "langeweile": "boredom",
        "boredom": "boredom",
        "unklar": "",
        "x y": "sad",
    }


def test_all_problems_are_reported(tmp_path: Path) -> None:
    file = write(
        tmp_path, "a,hapy", ",sad", "b,sad", "B,angry", "c,x;y", f"d,{'e' * 41}"
    )
    with pytest.raises(ManifestError) as raised:
        read_label_map(file)
    lines = str(raised.value).split("\n")
    assert lines[0] == f"label map {file}: 5 problems"
    assert lines[1:4] == [
        "line 2: emotion 'hapy': did you mean 'happy'?",
        "line 3: label '' is empty",
        "line 5: label 'b' is already mapped to 'sad'",
    ]
    assert all("at most 40 letters" in line for line in lines[4:])
    with pytest.raises(ManifestError, match="has no labels"):
        read_label_map(write(tmp_path))
