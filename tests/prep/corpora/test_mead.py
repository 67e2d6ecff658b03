"""MEAD: the published counts, and copies in every state."""

from collections import Counter
from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora import mead
from mmder_store.errors import ManifestError
from mmder_store.protocols import MEAD_SPEAKERS


def test_the_published_counts_are_consistent() -> None:
    expected = mead.published(modality="audio")
    assert sum(expected.counts["emotion"].values()) == 31_729
    assert expected.counts["speaker"].keys() == set(MEAD_SPEAKERS)
    assert Counter(s[0] for s in MEAD_SPEAKERS) == {"M": 27, "W": 21}


def test_one_camera_view_is_found(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "M003/video/front/angry/level_1/001.mp4",
        "M003/video/front/disgusted/level_3/030.mp4",
        "M003/video/left_30/angry/level_1/001.mp4",
        "M003/audio/angry/level_1/001.m4a",
        "W009/Video/Front/Fear/Level_2/007.MP4",
    )
    front = mead.find(tmp_path, modality="av")
    assert {r.clip_id: (r.emotion, r.speaker) for r in front.rows} == {
        "M003_angry_1_001": ("angry", "M003"),
        "M003_disgusted_3_030": ("disgust", "M003"),
        "W009_fear_2_007": ("fearful", "W009"),
    }
    assert any("3 clips of 2 of 48 actors" in warning for warning in front.warnings)
    left = mead.find(tmp_path, modality="av", view="left_30")
    assert [r.path for r in left.rows] == ["M003/video/left_30/angry/level_1/001.mp4"]
    audio = mead.find(tmp_path, modality="audio")
    assert [r.path for r in audio.rows] == ["M003/audio/angry/level_1/001.m4a"]
    with pytest.raises(ManifestError, match=r"no video/top/.*5 clips of other views"):
        mead.find(tmp_path, modality="av", view="top")


@pytest.mark.parametrize("level", [".", "M003", "M003/video", "M003/video/front"])
def test_the_root_can_be_any_folder_of_the_release(level: str, tmp_path: Path) -> None:
    lay(tmp_path, "M003/video/front/neutral/level_1/040.mp4")
    found = mead.find(tmp_path / level, modality="av")
    assert [r.clip_id for r in found.rows] == ["M003_neutral_1_040"]
    assert found.clips()[0].source.path.is_file()


@pytest.mark.parametrize(
    "path",
    [
        "M003/front/angry/level_1/002.mp4",
        "M003/video/front/level_1/angry/002.mp4",
        "M003/video/front/joy/level_1/002.mp4",
        "M003/video/front/angry/level_4/002.mp4",
        "M001/video/front/angry/level_1/002.mp4",
        "M003/video/front/angry/level_1/2.mp4",
    ],
)
def test_other_paths_and_unreleased_actors_are_unexpected(
    path: str, tmp_path: Path
) -> None:
    lay(tmp_path, "M003/video/front/angry/level_1/001.mp4", path)
    found = mead.find(tmp_path, modality="av")
    assert found.unexpected_files == (path,)
    text = "1 media files are not clips of MEAD"
    assert any(text in warning for warning in found.warnings)
