"""The synthetic corpus: its files, and folders that are not accepted."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmder_prep.synthetic.clip import FPS
from mmder_prep.synthetic.corpus import write_sample
from mmder_prep.synthetic.voice import SAMPLE_RATE_HZ
from mmder_store.errors import SettingsError


def test_files_have_the_names_and_formats_of_ravdess(corpus: Path) -> None:
    names = sorted(p.relative_to(corpus).as_posix() for p in corpus.rglob("*.mp4"))
    assert names == [f"Actor_01/01-01-0{e}-01-01-01-01.mp4" for e in range(1, 9)]
    assert "generated" in (corpus / "SAMPLE.txt").read_text()
    for name in names:
        with av.open(str(corpus / name)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec.name, video.width, video.height) == ("h264", 1280, 720)
            assert video.average_rate == FPS
            assert video.pix_fmt == "yuv420p"
            assert 93 <= video.frames <= 107
            audio_format = (audio.codec.name, audio.rate, audio.channels)
            assert audio_format == ("aac", 48000, 2)
    with av.open(str(corpus / names[0])) as container:
        num_frames = sum(1 for _ in container.decode(video=0))
    with av.open(str(corpus / names[0])) as container:
        blocks = [block.to_ndarray() for block in container.decode(audio=0)]
    assert 93 <= num_frames <= 107
    duration_s = num_frames / float(FPS)
    num_samples = np.concatenate(blocks, axis=1).shape[1]
    assert num_samples / SAMPLE_RATE_HZ == pytest.approx(
        duration_s, abs=1024 / SAMPLE_RATE_HZ
    )


@pytest.mark.parametrize("changed", [{"seed": 1}, {"actors": 2}])
def test_a_folder_with_another_sample_raises(
    corpus: Path, changed: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match=r"found .*; expected .*--out") as raised:
        write_sample(corpus, **({"actors": 1, "seed": 0} | changed))
    assert "\n" not in str(raised.value)


def test_a_folder_with_other_files_raises(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingsError, match=r"other files and no SAMPLE\.txt"):
        write_sample(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("wrong", [{"actors": 0}, {"actors": 25}, {"workers": 0}])
def test_impossible_settings_raise(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="expected 1 to 24 actors"):
        write_sample(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()
