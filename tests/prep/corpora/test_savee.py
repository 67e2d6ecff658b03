"""SAVEE: both layouts, and names that are not of the corpus."""

from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora import savee


def test_the_published_counts_are_consistent() -> None:
    counts = savee.published(modality="av").counts
    assert sum(counts["emotion"].values()) == sum(counts["speaker"].values()) == 480
    assert counts["emotion"]["neutral"] == 120
    assert counts["emotion"]["surprised"] == 60


def test_both_layouts_and_modalities_are_found(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "AudioVisualClip/DC/a1.avi",
        "AudioVisualClip/JE/su15.avi",
        "AudioVisualClip/KL/N30.AVI",
        "AudioData/DC/sa01.wav",
        "web/JK_h02.wav",
    )
    video = savee.find(tmp_path, modality="av")
    assert {r.clip_id: (r.emotion, r.speaker) for r in video.rows} == {
        "DC_a01": ("angry", "DC"),
        "JE_su15": ("surprised", "JE"),
        "KL_n30": ("neutral", "KL"),
    }
    audio = savee.find(tmp_path, modality="audio")
    assert [r.clip_id for r in audio.rows] == ["DC_sa01", "JK_h02"]
    one = savee.find(tmp_path / "AudioVisualClip" / "DC", modality="av")
    assert [r.path for r in one.rows] == ["a1.avi"]


@pytest.mark.parametrize(
    "path", ["DC/a16.avi", "DC/n31.avi", "DC/x01.avi", "AB/a01.avi", "DC/a00.avi"]
)
def test_other_names_are_unexpected(path: str, tmp_path: Path) -> None:
    lay(tmp_path, "DC/a01.avi", path)
    assert savee.find(tmp_path, modality="av").unexpected_files == (path,)
