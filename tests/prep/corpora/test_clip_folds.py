"""DFEW and MAFW: the publisher's lists of clips, and lists that contradict."""

from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora.dfew import CORPUS as DFEW
from mmder_prep.corpora.mafw import CORPUS as MAFW
from mmder_store.errors import ManifestError

SETS = "EmoLabel_DataSplit/{side}(single-labeled)/{prefix}set_{fold}.csv"
LISTS = "Train & Test Set/single/no_caption/set_{fold}/{side}.txt"


def write_sets(root: Path, sets: dict[tuple[str, int], str], prefix: str = "") -> None:
    for (side, fold), rows in sets.items():
        name = SETS.format(side=side, fold=fold, prefix=prefix)
        lay(root, name, text="video_name,label\n" + rows.replace(" ", "\n"))


@pytest.mark.parametrize("prefix", ["", "test_"])
def test_each_clip_counts_as_a_speaker_of_its_own(prefix: str, tmp_path: Path) -> None:
    write_sets(tmp_path, {("test", 1): "1,1 00002,7", ("test", 2): "3,3"}, prefix)
    write_sets(tmp_path, {("train", 1): "3,3 4,6", ("train", 2): "1,1 2,7 4,6"})
    lay(tmp_path, *(f"Clip/original/part_1/{k}.mp4" for k in (1, 2, 3, 4, 5)))
    lay(tmp_path, "Clip/clip_224x224/00001/00001.jpg")
    found = DFEW.find(tmp_path, modality="av")
    assert [(r.clip_id, r.emotion, r.speaker) for r in found.rows] == [
        ("00001", "happy", "00001"),
        ("00002", "fearful", "00002"),
        ("00003", "neutral", "00003"),
        ("00004", "disgust", "00004"),
    ]
    (protocol,) = found.protocols
    assert protocol.fold_of == {"00001": 1, "00002": 1, "00003": 2}
    assert protocol.only_trained == ("00004",)
    assert protocol.speakers == "unknown"
    assert protocol.to_json()["speakers"] == "unknown"


def test_only_clips_with_a_file_are_in_the_folds(tmp_path: Path) -> None:
    lay(
        tmp_path,
        LISTS.format(side="test", fold=1),
        text="00025.mp4 anger\n00026 fear",
    )
    lay(
        tmp_path,
        LISTS.format(side="test", fold=2),
        text="00030.mp4 Helplessness\r\n",
    )
    lay(tmp_path, "clips/00025.mp4", "clips/00030.mp4", "clips/00099.mp4")
    found = MAFW.find(tmp_path, modality="av")
    assert {r.clip_id: r.emotion for r in found.rows} == {
        "00025": "angry",
        "00030": "helpless",
    }
    assert found.protocols[0].fold_of == {"00025": 1, "00030": 2}
    assert any("2 of 3 listed clips of MAFW" in w for w in found.warnings)
    assert any("1 clips are in no list, the first 00099" in w for w in found.warnings)


@pytest.mark.parametrize(
    ("sets", "text"),
    [
        ({("test", 1): "1,1", ("test", 2): "1,1"}, "also tested in fold 1"),
        ({("test", 1): "1,1", ("train", 1): "1,1"}, "training and the test list of"),
        ({("test", 1): "1,1", ("train", 2): "1,2"}, "clip 00001 is sad, and happy in"),
        ({("test", 1): "1,1 2,8"}, "line 3: '2,8': expected a clip and its label"),
    ],
)
def test_contradicting_lists_are_one_line(
    sets: dict[tuple[str, int], str], text: str, tmp_path: Path
) -> None:
    write_sets(tmp_path, sets)
    lay(tmp_path, "1.mp4")
    with pytest.raises(ManifestError, match=text) as raised:
        DFEW.find(tmp_path, modality="av")
    assert "\n" not in str(raised.value)


def test_lists_without_clips_and_clips_without_lists_are_named(tmp_path: Path) -> None:
    write_sets(tmp_path / "lists", {("test", 1): "1,1"})
    lay(tmp_path / "clips", "1.mp4", "2.mp4")
    with pytest.raises(ManifestError, match="0 clips and 1 lists of sets"):
        DFEW.find(tmp_path / "lists", modality="av")
    with pytest.raises(ManifestError, match="2 clips and 0 lists of sets"):
        DFEW.find(tmp_path / "clips", modality="av")


def test_the_published_counts_are_consistent() -> None:
    assert sum(DFEW.published(modality="av").counts["emotion"].values()) == 11_697
    assert sum(MAFW.published(modality="av").counts["emotion"].values()) == 9_172
