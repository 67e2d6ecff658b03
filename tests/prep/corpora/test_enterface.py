"""eNTERFACE'05: regular and irregular folders."""

from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora import enterface


def test_the_folders_take_precedence_over_the_file_name(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "subject 1/anger/sentence 1/s1_an_1.avi",
        "subject 23/surprise/sentence 2/s_3_su_2.avi",
        "subject 6/fear/sentence 4.avi",
        "subject-16/happiness/s16_ha_5.avi",
        "subject 2/sadness/sentence 3/Thumbs.db",
    )
    found = enterface.find(tmp_path, modality="av")
    assert {r.clip_id: (r.emotion, r.speaker) for r in found.rows} == {
        "s01_an_1": ("angry", "s01"),
        "s06_fe_4": ("fearful", "s06"),
        "s16_ha_5": ("happy", "s16"),
        "s23_su_2": ("surprised", "s23"),
    }
    assert found.unexpected_files == ()
    assert found.rows == enterface.find(tmp_path, modality="audio").rows
    one = enterface.find(tmp_path / "subject 23" / "surprise", modality="av")
    assert [r.clip_id for r in one.rows] == ["s23_su_2"]


def test_flat_folders_are_read_by_name(tmp_path: Path) -> None:
    lay(tmp_path, "s7_di_1.avi", "s_12_fe_5.mp4")
    found = enterface.find(tmp_path, modality="av")
    assert [r.clip_id for r in found.rows] == ["s07_di_1", "s12_fe_5"]


@pytest.mark.parametrize(
    "path",
    ["s45_an_1.avi", "s1_an_6.avi", "s1_xx_1.avi", "subject 1/joy/sentence 1/a.avi"],
)
def test_other_names_are_unexpected(path: str, tmp_path: Path) -> None:
    lay(tmp_path, "s1_an_1.avi", path)
    assert enterface.find(tmp_path, modality="av").unexpected_files == (path,)
