"""RAVDESS: the published list and folds, and copies in every state."""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from fake_corpora import lay
from mmder_prep.corpora import ravdess
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_store.errors import ManifestError
from mmder_store.protocols import PROTOCOLS

ALL_CLIPS = "7fe3e76baca6974f3e4bea40f9254c0807f633940fbf5520a5428705bff2c792"
TEST_CLIPS = {
    "ravdess-contiguous-6": (
        "d5861906af33ebc5d875a4cba34741f3556af9c477507a34ecb70c8430e8378a",
        "98d0118c1f4a",
        "a0cda2f2937c",
        "5511b8c9942e",
        "380fab499594",
        "33a62da3be1d",
    ),
    "ravdess-emobox-6": (
        "3017ec3879a6",
        "c4c1783adf91",
        "22b76b0b1439",
        "12ffa7042d48",
        "1ca8e46b4405",
        "cbac63b4ee68",
    ),
    "ravdess-luna-jimenez-5": (
        "fa3457425d55",
        "6c9a08e9df85",
        "e28d395d6c9f",
        "12c9f56b1337",
        "3dbc537474ea",
    ),
    "ravdess-cfn-sr-5": (
        "d5861906af33",
        "98d0118c1f4a",
        "a0cda2f2937c",
        "5511b8c9942e",
        "380fab499594",
    ),
}
"""Start of the hash of the clips in each test fold, from independent lists."""


def hash_ids(rows: Iterable[ManifestRow]) -> str:
    """Hash a list of clips in the same way as the independent lists."""
    ids = sorted(row.clip_id for row in rows)
    return hashlib.sha256(("\n".join(ids) + "\n").encode()).hexdigest()


def by_id(manifest: Manifest) -> dict[str, ManifestRow]:
    return {row.clip_id: row for row in manifest.rows}


def test_the_1440_published_clips_are_those_of_the_literature() -> None:
    expected = ravdess.published(modality="av")
    assert (len(expected.rows), hash_ids(expected.rows)) == (1440, ALL_CLIPS)
    assert expected.counts["speaker"] == {f"{a:02d}": 60 for a in range(1, 25)}
    emotions = dict.fromkeys(ravdess.EMOTIONS.values(), 192) | {"neutral": 96}
    assert expected.counts["emotion"] == emotions
    for row in expected.rows:
        assert row.fold == (int(row.speaker) - 1) // 4 + 1


@pytest.mark.parametrize("name", TEST_CLIPS)
def test_the_folds_are_those_of_the_literature(name: str) -> None:
    rows = ravdess.published(modality="av").rows
    fold_of = PROTOCOLS[name].fold_of
    for fold, expected in enumerate(TEST_CLIPS[name], start=1):
        tested = [row for row in rows if fold_of.get(row.speaker) == fold]
        assert hash_ids(tested).startswith(expected)
    assert max(fold_of.values()) == len(TEST_CLIPS[name])


def test_one_of_the_three_modalities_is_found(tmp_path: Path) -> None:
    """Mute copies and songs are skipped; an upper-case suffix is accepted."""
    lay(
        tmp_path,
        "Actor_01/01-01-03-01-01-01-01.MP4",
        "Actor_01/02-01-03-01-01-01-01.mp4",
        "Actor_01/01-02-03-01-01-01-01.mp4",
        "Actor_01/03-01-03-01-01-01-01.WAV",
        "Actor_01/03-02-03-01-01-01-01.wav",
        "Actor_00/01-01-03-01-01-01-01.wav",
    )
    av = ravdess.find(tmp_path, modality="av")
    assert [r.path for r in av.rows] == ["Actor_01/01-01-03-01-01-01-01.MP4"]
    audio = ravdess.find(tmp_path, modality="audio")
    assert [r.path for r in audio.rows] == ["Actor_01/03-01-03-01-01-01-01.WAV"]
    assert av.unexpected_files == audio.unexpected_files == ()
    assert {p.name for p in av.protocols} > set(TEST_CLIPS)
    assert av.protocols[0].name == "ravdess-contiguous-6"


def test_archives_and_unpacked_files_are_equivalent(tmp_path: Path) -> None:
    """Folders of macOS in the archive are ignored."""
    name = "Actor_24/01-01-08-02-02-02-24.mp4"
    lay(tmp_path / "unpacked", name)
    packed = tmp_path / "packed"
    packed.mkdir()
    with zipfile.ZipFile(packed / "Video_Speech_Actor_24.ZIP", "w") as archive:
        archive.writestr(name, b"x")
        archive.writestr(name.replace("/01", "/02"), b"x")
        archive.writestr("__MACOSX/Actor_24/._01-01-08-02-02-02-24.mp4", b"x")
    one, other = (
        ravdess.find(tmp_path / kind, modality="av") for kind in ("unpacked", "packed")
    )
    assert by_id(one).keys() == by_id(other).keys()
    assert other.rows[0].path == f"Video_Speech_Actor_24.ZIP/{name}"
    assert other.unexpected_files == ()


def test_only_full_audio_visual_speech_is_found(tmp_path: Path) -> None:
    """Mute copies, songs, audio-only clips and hidden files are skipped."""
    lay(
        tmp_path,
        "Actor_02/01-01-05-02-01-02-02.mp4",
        "Actor_01/01-01-02-01-01-01-01.mp4",
        "Actor_01/02-01-02-01-01-01-01.mp4",
        "Actor_01/01-02-02-01-01-01-01.mp4",
        "Actor_01/03-01-02-01-01-01-01.wav",
        "Actor_01/._01-01-03-01-01-01-01.mp4",
        "Actor_01/01-01-09-01-01-01-01.mp4",
        "readme.txt",
    )
    rows = ravdess.find(tmp_path, modality="av").rows
    assert [(r.clip_id, r.speaker, r.emotion) for r in rows] == [
        ("01-01-02-01-01-01-01", "01", "calm"),
        ("01-01-05-02-01-02-02", "02", "angry"),
    ]
    audio = ravdess.find(tmp_path, modality="audio").rows
    assert [r.path for r in audio] == ["Actor_01/03-01-02-01-01-01-01.wav"]


def test_a_clip_both_unpacked_and_in_an_archive_is_found_once(tmp_path: Path) -> None:
    """The duplicate is reported, and archive members can be read."""
    lay(tmp_path, "Actor_01/01-01-02-01-01-01-01.mp4")
    with zipfile.ZipFile(tmp_path / "Video_Speech_Actor_01.zip", "w") as archive:
        archive.writestr("Actor_01/01-01-02-01-01-01-01.mp4", b"x")
        archive.writestr("Actor_01/01-01-03-01-01-01-01.mp4", b"y")
    found = ravdess.find(tmp_path, modality="av")
    assert [r.path for r in found.rows] == [
        "Actor_01/01-01-02-01-01-01-01.mp4",
        "Video_Speech_Actor_01.zip/Actor_01/01-01-03-01-01-01-01.mp4",
    ]
    assert any("already found" in warning for warning in found.warnings)
    member = found.clips()[1].source
    assert member.input().read() == b"y"  # type: ignore[union-attr]


def test_the_error_for_a_missing_corpus_explains_how_to_get_it(tmp_path: Path) -> None:
    """It names the folder, its contents, the Zenodo record, and the options."""
    match = r"folder does not exist.*Zenodo record 1188976.*--root.*MMDER_RAVDESS_ROOT"
    with pytest.raises(ManifestError, match=match):
        ravdess.find(tmp_path / "none", modality="av")
    lay(tmp_path, "Actor_01/02-01-02-01-01-01-01.mp4")
    with pytest.raises(ManifestError, match=r"no clip 01-01.*1 other files of RAVDESS"):
        ravdess.find(tmp_path, modality="av")
    (tmp_path / "Video_Speech_Actor_01.zip").write_bytes(b"PK broken")
    with pytest.raises(ManifestError, match=r"Video_Speech_Actor_01\.zip: cannot be"):
        ravdess.find(tmp_path, modality="av")
