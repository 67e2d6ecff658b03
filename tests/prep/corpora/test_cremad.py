"""CREMA-D: the published list and folds, and copies in every state."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora import cremad
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_store.errors import ManifestError

ALL_CLIPS = "bb8248d8fd8a8d4197f3b675243304345679864bb4805f37ec08983cf9688210"
TEST_CLIPS = (
    "dd05b4c670f6",
    "a6f37e8a3b59",
    "2ba6e0e138c6",
    "27e4466a608b",
    "19e855057c9c",
)
"""Start of the hash of the clips in each test fold, from independent lists."""
VOTES = '"",FileName,VoiceVote,VoiceLevel,FaceVote,FaceLevel,MultiModalVote,'
VOTES += "MultiModalLevel"


def hash_ids(rows: Iterable[ManifestRow]) -> str:
    """Hash a list of clips in the same way as the independent lists."""
    ids = sorted(row.clip_id for row in rows)
    return hashlib.sha256(("\n".join(ids) + "\n").encode()).hexdigest()


def by_id(manifest: Manifest) -> dict[str, ManifestRow]:
    return {row.clip_id: row for row in manifest.rows}


def has_warning(manifest: Manifest, text: str) -> bool:
    return any(text in warning for warning in manifest.warnings)


def clips(*names: str, wav: bool = True) -> list[str]:
    videos = [f"VideoFlash/{name}.flv" for name in names]
    return videos + [f"AudioWAV/{name}.wav" for name in names if wav]


def test_the_7442_published_clips_are_those_of_the_literature() -> None:
    expected = cremad.published(modality="av")
    assert (len(expected.rows), hash_ids(expected.rows)) == (7442, ALL_CLIPS)
    emotions = dict.fromkeys(cremad.EMOTIONS.values(), 1271) | {"neutral": 1087}
    assert expected.counts["emotion"] == emotions
    for fold, start in enumerate(TEST_CLIPS, start=1):
        assert hash_ids(r for r in expected.rows if r.fold == fold).startswith(start)
    fewer = {"1002": 81, "1008": 76, "1009": 76, "1019": 76, "1076": 81}
    speakers = {str(a): 82 for a in range(1001, 1092)} | fewer
    assert expected.counts["speaker"] == speakers
    assert len(cremad.NEVER_RECORDED) == 20
    with_note = {row.clip_id for row in expected.rows if row.note}
    assert with_note == {*cremad.KNOWN_BAD, *(c for p in cremad.SAME_AUDIO for c in p)}


def test_7437_clips_remain_without_the_known_bad_ones() -> None:
    """The classes and the folds are those of the lists of HiCMAE."""
    expected = cremad.published(modality="av", include_known_bad=False)
    assert len(expected.rows) == 7437
    codes = Counter(row.clip_id.split("_")[2] for row in expected.rows)
    assert codes == {
        "ANG": 1271,
        "DIS": 1270,
        "FEA": 1271,
        "HAP": 1271,
        "NEU": 1086,
        "SAD": 1268,
    }
    folds = Counter(row.fold for row in expected.rows)
    assert folds == {1: 1463, 2: 1470, 3: 1475, 4: 1474, 5: 1555}


def test_audio_comes_from_separate_wav_files(tmp_path: Path) -> None:
    """Without a wav file the audio track of the video is used, with a warning."""
    lay(tmp_path, *clips("1001_DFA_ANG_XX", "1091_IEO_HAP_HI"))
    lay(tmp_path, *clips("1002_TIE_SAD_XX", wav=False))
    lay(tmp_path, "AudioMP3/1003_TIE_SAD_XX.mp3", "VideoDemographics.csv")
    found = cremad.find(tmp_path, modality="av")
    rows = by_id(found)
    assert list(rows) == ["1001_DFA_ANG_XX", "1002_TIE_SAD_XX", "1091_IEO_HAP_HI"]
    assert rows["1001_DFA_ANG_XX"].path == "VideoFlash/1001_DFA_ANG_XX.flv"
    assert rows["1001_DFA_ANG_XX"].sound == "AudioWAV/1001_DFA_ANG_XX.wav"
    assert (rows["1002_TIE_SAD_XX"].emotion, rows["1002_TIE_SAD_XX"].sound) == (
        "sad",
        "",
    )
    assert has_warning(found, "1 clips have no wav file: the audio track of the video")
    assert [s.name for s in found.label_sets] == ["cremad-6", "cremad-4"]
    audio = cremad.find(tmp_path, modality="audio")
    assert [(r.path[:8], r.sound) for r in audio.rows] == [("AudioWAV", "")] * 2
    lay(tmp_path / "mp3", "AudioMP3/1003_TIE_SAD_XX.mp3")
    with pytest.raises(ManifestError, match="has 1 clips in other formats"):
        cremad.find(tmp_path / "mp3", modality="av")


def test_known_bad_clips_are_skipped_and_named(tmp_path: Path) -> None:
    lay(tmp_path, *clips("1001_DFA_ANG_XX", *cremad.KNOWN_BAD))
    found = cremad.find(tmp_path, modality="av")
    assert list(by_id(found)) == ["1001_DFA_ANG_XX"]
    assert all(has_warning(found, clip_id) for clip_id in cremad.KNOWN_BAD)
    assert has_warning(found, "--include-known-bad")
    with_bad = cremad.find(tmp_path, modality="av", include_known_bad=True)
    assert len(with_bad.rows) == 6
    assert "minute" in by_id(with_bad)["1064_IEO_DIS_MD"].note


def test_names_of_old_copies_and_lower_case_names_are_accepted(tmp_path: Path) -> None:
    lay(tmp_path, "v/1040_ITH_SAD_XX.flv", "a/1040_ITH_SAD_X.wav")
    lay(tmp_path, "v/1001_ieo_neu_xx.FLV", "a/1001_IEO_NEU_XX.WAV")
    rows = by_id(cremad.find(tmp_path, modality="av", include_known_bad=True))
    assert rows["1040_ITH_SAD_XX"].sound == "a/1040_ITH_SAD_X.wav"
    assert rows["1001_IEO_NEU_XX"].path == "v/1001_ieo_neu_xx.FLV"
    assert rows["1001_IEO_NEU_XX"].sound == "a/1001_IEO_NEU_XX.WAV"


@pytest.mark.parametrize(
    "name", ["1000_DFA_ANG_XX", "1092_DFA_ANG_XX", "1001_DFA_JOY_XX", "1001_ABC_ANG_XX"]
)
def test_an_impossible_name_is_unexpected(name: str, tmp_path: Path) -> None:
    lay(tmp_path, *clips("1001_DFA_ANG_XX"), f"VideoFlash/{name}.flv")
    found = cremad.find(tmp_path, modality="av")
    assert found.unexpected_files == (f"VideoFlash/{name}.flv",)


def test_pairs_with_the_same_audio_are_named(tmp_path: Path) -> None:
    """Only if both clips exist; in the store each has a note with the other's name."""
    one, other = cremad.SAME_AUDIO[0]
    half = cremad.SAME_AUDIO[1][0]
    lay(tmp_path, *clips(one, other, half))
    found = cremad.find(tmp_path, modality="av")
    assert has_warning(found, f"same audio and different labels: {one} = {other}")
    assert not has_warning(found, half)
    assert other in by_id(found)[one].note
    assert one in by_id(found)[other].note


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_votes_of_the_crowd_are_read(
    encoding: str, end: str, tmp_path: Path
) -> None:
    """A tie is empty; the intended emotion stays the label."""
    lay(tmp_path, *clips("1001_DFA_ANG_XX", "1001_DFA_HAP_XX", "1001_DFA_SAD_XX"))
    lines = [
        VOTES,
        '"1","1001_DFA_ANG_XX","N",61.5,"A:D",58.3,"D",50',
        '"2","1001_dfa_hap_xx","H",1,"h",1,"A:F:N",1',
    ]
    table = tmp_path / "processedResults" / "summaryTable.csv"
    table.parent.mkdir()
    table.write_bytes((end.join(lines) + end).encode(encoding))
    found = cremad.find(tmp_path, modality="av")
    votes = {
        row.clip_id: (row.emotion, row.rated_voice, row.rated_face, row.rated_both)
        for row in found.rows
    }
    assert votes == {
        "1001_DFA_ANG_XX": ("angry", "neutral", "", "disgust"),
        "1001_DFA_HAP_XX": ("happy", "happy", "happy", ""),
        "1001_DFA_SAD_XX": ("sad", "", "", ""),
    }
    assert [s.name for s in found.label_sets][2:] == [
        "cremad-6-voice",
        "cremad-6-face",
        "cremad-6-both",
    ]
    assert has_warning(found, "2 rated_voice, 1 rated_face, 1 rated_both")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        ("", "starts with ''"),
        ("a;b;c\n1;2;3", "columns FileName, VoiceVote, FaceVote, MultiModalVote: get"),
        (VOTES + "\n1,1001_DFA_ANG_XX,A", "line 2 has too few values"),
        (VOTES + '\n1,"1001_DFA', "line 2: unexpected end of data"),
        (VOTES + "\n1," + "x" * 200_000, "line 2: field larger"),
    ],
)
def test_a_damaged_table_of_votes_raises(text: str, match: str, tmp_path: Path) -> None:
    lay(tmp_path, *clips("1001_DFA_ANG_XX"))
    lay(tmp_path, "processedResults/summaryTable.csv", text=text)
    with pytest.raises(ManifestError, match=match) as raised:
        cremad.find(tmp_path, modality="av")
    assert str(raised.value).startswith("processedResults/summaryTable.csv")
