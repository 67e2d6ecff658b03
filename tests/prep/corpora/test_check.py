"""Comparison of a corpus copy with its published contents."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fake_corpora import dialog, lay
from mmder_prep.corpora import CORPORA, cremad, iemocap, mead, ravdess
from mmder_prep.corpora.check import CheckResult, check_corpus, show
from mmder_prep.corpora.published import (
    ExpectedContents,
    count_clips,
    expected_from_rows,
)
from mmder_store.errors import ManifestError

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 130\n"


def printed(checked: CheckResult) -> str:
    out = io.StringIO()
    show(checked, Console(file=out, width=200))
    return out.getvalue()


def check_ravdess(root: Path) -> CheckResult:
    found = ravdess.find(root, modality="av")
    return check_corpus(found, ravdess.published(modality="av"))


@pytest.fixture(scope="module")
def complete_ravdess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out all speech clips of RAVDESS, with the mute copies."""
    root = tmp_path_factory.mktemp("ravdess")
    for row in ravdess.published(modality="av").rows:
        lay(root, row.path, row.path.replace("/01-", "/02-"))
    return root


def test_a_complete_copy_is_as_published(complete_ravdess: Path) -> None:
    checked = check_ravdess(complete_ravdess)
    assert checked.whole
    assert checked.clips == 1440
    assert (checked.missing, checked.unexpected, checked.flawed) == ((), (), ())
    text = printed(checked)
    assert "1440 clips, as published" in text
    assert "speakers as published: 24 of 24" in text
    assert "no file was decoded" in text


@pytest.mark.parametrize(
    ("spoil", "field", "title", "named"),
    [
        (lambda f: f.unlink(), "missing", "missing clips", "01-01-05-01-01-01-12"),
        (
            lambda f: f.write_text(""),
            "flawed",
            "flawed",
            "01-01-05-01-01-01-12: empty",
        ),
        (
            lambda f: f.write_text(POINTER),
            "flawed",
            "flawed",
            "01-01-05-01-01-01-12: a git-lfs pointer",
        ),
        (
            lambda f: lay(f.parent, "01-01-01-02-01-01-12.mp4"),
            "unexpected",
            "unexpected",
            "01-01-01-02-01-01-12",
        ),
        (
            lambda f: lay(f.parent, "clip.avi"),
            "unexpected",
            "unexpected",
            "Actor_12/clip.avi",
        ),
    ],
    ids=["missing", "empty", "pointer", "never recorded", "another file"],
)
def test_a_problem_with_one_clip_is_named(
    complete_ravdess: Path,
    spoil: Callable[[Path], object],
    field: str,
    title: str,
    named: str,
) -> None:
    file = complete_ravdess / "Actor_12" / "01-01-05-01-01-01-12.mp4"
    try:
        spoil(file)
        checked = check_ravdess(complete_ravdess)
        assert not checked.whole
        assert getattr(checked, field) == (named,)
        text = printed(checked)
        assert f"{title}: 1 ({named})" in text
        assert "not as published" in text
    finally:
        lay(file.parent, file.name)
        for other in ("01-01-01-02-01-01-12.mp4", "clip.avi"):
            (file.parent / other).unlink(missing_ok=True)


def test_a_missing_clip_changes_the_rows_of_its_class_and_speaker(
    complete_ravdess: Path,
) -> None:
    file = complete_ravdess / "Actor_12" / "01-01-05-01-01-01-12.mp4"
    file.unlink()
    text = printed(check_ravdess(complete_ravdess))
    lay(file.parent, file.name)
    rows = [line for line in text.splitlines() if "differs" in line]
    assert len(rows) == 2
    assert any("emotion angry" in r and "191" in r and "192" in r for r in rows)
    assert any("speaker 12" in r and "59" in r and "60" in r for r in rows)
    assert "speakers as published: 23 of 24" in text


def test_a_broken_link_is_a_flaw(complete_ravdess: Path) -> None:
    """Broken links are files that git-annex has not fetched."""
    file = complete_ravdess / "Actor_12" / "01-01-05-01-01-01-12.mp4"
    file.unlink()
    file.symlink_to(complete_ravdess / "annex")
    checked = check_ravdess(complete_ravdess)
    file.unlink()
    lay(file.parent, file.name)
    assert checked.missing == ()
    assert checked.flawed == (
        "01-01-05-01-01-01-12: cannot be read (No such file or directory)",
    )


def test_every_clip_of_cremad_needs_its_wav_file(tmp_path: Path) -> None:
    """Known bad clips are only missing if they were requested."""

    def expected(*, include_known_bad: bool = False) -> ExpectedContents:
        full = cremad.published(modality="av", include_known_bad=include_known_bad)
        some = [row for row in full.rows if row.speaker in ("1001", "1002", "1076")]
        return expected_from_rows(some, source=full.source)

    rows = expected().rows
    for row in rows:
        lay(tmp_path, row.path, row.sound)
    assert check_corpus(cremad.find(tmp_path, modality="av"), expected()).whole
    with_bad = cremad.find(tmp_path, modality="av", include_known_bad=True)
    missing = check_corpus(with_bad, expected(include_known_bad=True)).missing
    assert missing == ("1076_MTI_NEU_XX", "1076_MTI_SAD_XX")
    lay(tmp_path, rows[0].sound, text="")
    lay(tmp_path, rows[1].sound, text=POINTER)
    (tmp_path / rows[2].sound).unlink()
    lay(tmp_path, *(f"x/1002_TIE_NEU_XX.{suffix}" for suffix in ("flv", "wav")))
    spoiled = check_corpus(cremad.find(tmp_path, modality="av"), expected())
    assert sorted(spoiled.flawed) == [
        f"{rows[0].clip_id}: audio file empty",
        f"{rows[1].clip_id}: audio file a git-lfs pointer",
        f"{rows[2].clip_id}: no audio file",
    ]
    assert spoiled.unexpected == ("1002_TIE_NEU_XX",)


def test_counts_and_wav_files_of_iemocap_are_compared(tmp_path: Path) -> None:
    turn = "Ses01F_impro01_F000"
    dialog(tmp_path, "Ses01F_impro01", (1.0, 2.0, turn, "neu"), wavs=False)
    found = iemocap.find(tmp_path, modality="av")
    checked = check_corpus(found, iemocap.published(modality="av"))
    assert checked.flawed == (f"{turn}: no audio file",)
    assert not checked.whole
    text = printed(checked)
    assert "missing speakers: 9 (Ses01M" in text
    audio = iemocap.find(lay(tmp_path, f"wav/{turn}.wav"), modality="audio")
    expected = iemocap.published(modality="audio")
    assert check_corpus(audio, expected).flawed == ()
    exact = replace(expected, counts=count_clips(audio.rows))
    assert check_corpus(audio, exact).whole


def test_a_view_of_mead_can_have_fewer_clips_and_lack_one_actor(
    tmp_path: Path,
) -> None:
    """Counts are upper bounds, but no other actor or emotion may be missing."""
    expected = mead.published(modality="av")
    for actor in expected.counts["speaker"]:
        for emotion in mead.EMOTIONS:
            lay(tmp_path, f"{actor}/video/front/{emotion}/level_1/001.mp4")
    assert "W017" not in expected.counts["speaker"]
    assert "W017" in mead.published(modality="av", view="down").counts["speaker"]
    assert check_corpus(mead.find(tmp_path, modality="av"), expected).whole
    lay(tmp_path, "W017/video/front/sad/level_1/001.mp4")
    assert check_corpus(mead.find(tmp_path, modality="av"), expected).whole
    for file in (tmp_path / "M003").rglob("*.mp4"):
        file.unlink()
    without_actor = check_corpus(mead.find(tmp_path, modality="av"), expected)
    assert [c.value for c in without_actor.counts if not c.ok] == ["M003"]
    assert "missing speakers: 1 (M003" in printed(without_actor)
    few = replace(expected, counts={"emotion": {"angry": 3}, "speaker": {}})
    too_many = check_corpus(mead.find(tmp_path, modality="av"), few)
    assert [c.value for c in too_many.counts if not c.ok] == ["angry"]


def test_long_lists_are_cut(complete_ravdess: Path) -> None:
    expected = ravdess.published(modality="av")
    no_counts: dict[str, dict[str, int]] = {"emotion": {}, "speaker": {}}
    one = replace(expected, rows=expected.rows[:1], counts=no_counts)
    checked = check_corpus(ravdess.find(complete_ravdess, modality="av"), one)
    assert len(checked.unexpected) == 1439
    assert "and 1429 more" in printed(checked)


def test_the_exit_code_is_1_for_an_incomplete_copy(complete_ravdess: Path) -> None:
    """It is 0 for a complete copy; no store is made."""
    call = "from mmder_prep.cli import main; main()"
    codes = {}
    roots = {"complete": complete_ravdess, "part": complete_ravdess / "Actor_01"}
    for name, root in roots.items():
        done = subprocess.run(
            [sys.executable, "-c", call, "ravdess", "--check", "--root", root],
            capture_output=True,
            text=True,
            check=False,
        )
        codes[name] = done.returncode
        advice = f"next: mmder-prep ravdess --root {root} --modality av --out STORE\n"
        assert done.stderr == ("" if name == "part" else advice)
    assert codes == {"complete": 0, "part": 1}
    with pytest.raises(ManifestError, match="the folder does not exist"):
        check_ravdess(complete_ravdess / "none")


AUDIO_ONLY: dict[str, tuple[str, ...]] = {
    "ravdess": ("Actor_01/03-01-03-01-01-01-01.wav",),
    "cremad": ("AudioWAV/1001_DFA_ANG_XX.wav",),
    "mead": ("M003/audio/angry/level_1/001.m4a",),
    "savee": ("AudioData/DC/a01.wav",),
}


@pytest.mark.parametrize("name", AUDIO_ONLY)
def test_a_copy_of_the_other_modality_names_the_option(
    name: str, tmp_path: Path
) -> None:
    """An audio-only copy names `--modality audio`, and a copy with video the other."""
    (corpus,) = (c for c in CORPORA if c.name == name)
    audio = lay(tmp_path / "audio", *AUDIO_ONLY[name])
    with pytest.raises(ManifestError, match=r"Pass --modality audio to use the 1 clip"):
        corpus.find(audio, modality="av")
    assert len(corpus.find(audio, modality="audio").rows) == 1
    video = lay(
        tmp_path / "video",
        "Actor_01/01-01-03-01-01-01-01.mp4",
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "M003/video/front/angry/level_1/001.mp4",
        "AudioVisualClip/DC/a1.avi",
    )
    with pytest.raises(ManifestError, match=r"Pass --modality av to use the 1 clip"):
        corpus.find(video, modality="audio")


def test_another_view_of_mead_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "M003/video/left_30/angry/level_1/001.mp4")
    with pytest.raises(ManifestError, match="Pass --view with one of left_30"):
        mead.find(tmp_path, modality="av")


def test_an_audio_only_copy_of_iemocap_names_the_option(tmp_path: Path) -> None:
    dialog(tmp_path, "Ses01F_impro01", (1.0, 2.0, "Ses01F_impro01_F000", "neu"))
    for avi in tmp_path.rglob("*.avi"):
        avi.unlink()
    found = iemocap.find(tmp_path, modality="av")
    assert any("Pass --modality audio" in line for line in found.warnings)
    with pytest.raises(ManifestError, match=r"none of 1 files exists.*modality audio"):
        check_corpus(found, iemocap.published(modality="av"))


def test_a_root_that_also_holds_other_media_names_the_subfolder(
    tmp_path: Path,
) -> None:
    """Every clip is found, but the copy is not as published because of the rest."""
    rows = ravdess.published(modality="av").rows
    for row in rows:
        lay(tmp_path / "my data" / "ravdess", row.path)
    lay(tmp_path / "my data", "cremad/VideoFlash/1001_DFA_ANG_XX.flv", "b.mp4")
    checked = check_ravdess(tmp_path / "my data")
    assert not checked.whole
    assert checked.advice == (
        "All clips are in ravdess, and 2 other media files are outside it: pass "
        f"--root '{tmp_path}/my data/ravdess'"
    )
    assert checked.advice in printed(checked)
    below = check_ravdess(tmp_path / "my data" / "ravdess")
    assert below.whole
    assert below.advice == ""


def test_an_encrypted_member_is_a_flaw(tmp_path: Path) -> None:
    """The flag of both headers is set; no password is needed for the table."""
    path = tmp_path / "V.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("01-01-03-01-01-01-01.mp4", b"x")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\3\4") + 6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert check_ravdess(tmp_path).flawed == (
        "01-01-03-01-01-01-01: encrypted; unpack the archive with its password",
    )
