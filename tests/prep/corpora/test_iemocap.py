"""IEMOCAP: the published counts, and copies in every state."""

from collections import Counter
from pathlib import Path

import pytest

from fake_corpora import dialog, evaluation, lay
from mmder_prep.corpora import iemocap
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_store.errors import ManifestError

WOMAN_WITH_MARKERS = (
    (6.2901, 8.2357, "Ses01F_impro01_F000", "neu"),
    (7.9, 10.5, "Ses01F_impro01_M000", "exc"),
    (11.0, 12.0, "Ses01F_impro01_F001", "xxx"),
    (12.5, 13.0, "Ses01F_impro01_MXX0", "oth"),
    (13.5, 15.25, "Ses01F_impro01_M001", "fru"),
)
MAN_WITH_MARKERS = (
    (0.5, 4.0, "Ses05M_script01_1b_M003", "ang"),
    (3.0, 5.0, "Ses05M_script01_1b_F000", "sad"),
)


def release(root: Path) -> Path:
    dialog(root, "Ses01F_impro01", *WOMAN_WITH_MARKERS)
    return dialog(root, "Ses05M_script01_1b", *MAN_WITH_MARKERS)


def by_id(manifest: Manifest) -> dict[str, ManifestRow]:
    return {row.clip_id: row for row in manifest.rows}


def has_warning(manifest: Manifest, text: str) -> bool:
    return any(text in warning for warning in manifest.warnings)


def test_the_published_counts_are_consistent() -> None:
    four = iemocap.published(modality="av")
    assert sum(four.counts["emotion"].values()) == 5531
    sessions: Counter[str] = Counter()
    for speaker, clips in four.counts["speaker"].items():
        sessions[speaker[:5]] += clips
    assert list(sessions.values()) == [1085, 1023, 1151, 1031, 1241]
    all_turns = iemocap.published(modality="av", all_turns=True)
    assert sum(all_turns.counts["emotion"].values()) == 10_039
    assert len(iemocap.NO_VIDEO) == 8


def test_turns_have_their_times_and_halves(tmp_path: Path) -> None:
    """The letter of the dialog names the actor with the markers, who is on the left."""
    found = iemocap.find(release(tmp_path), modality="av")
    turns = {
        r.clip_id: (r.speaker, r.emotion, r.crop, r.start_s, r.stop_s)
        for r in found.rows
    }
    assert turns == {
        "Ses01F_impro01_F000": ("Ses01F", "neutral", "left", 6.2901, 8.2357),
        "Ses01F_impro01_M000": ("Ses01M", "excited", "right", 7.9, 10.5),
        "Ses05M_script01_1b_M003": ("Ses05M", "angry", "left", 0.5, 4.0),
        "Ses05M_script01_1b_F000": ("Ses05F", "sad", "right", 3.0, 5.0),
    }
    row = found.rows[1]
    assert row.path == "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    assert row.sound == "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"
    assert row.sound_at_s == row.start_s
    assert found.label_sets[0].label("excited") == found.label_sets[0].label("happy")
    assert len(found.warnings) == 1
    assert has_warning(found, "4 turns from 2 of 151 dialogs")
    assert found.unexpected_files == ()


def test_all_turns_are_found_on_request(tmp_path: Path) -> None:
    """Turns on which raters disagreed have no label and are never trained on."""
    found = iemocap.find(release(tmp_path), modality="av", all_turns=True)
    assert [r.emotion for r in found.rows][:5] == [
        "neutral",
        "excited",
        "",
        "",
        "frustrated",
    ]
    assert found.label_sets[0].label("frustrated") == -1


def test_audio_only_uses_the_wav_file_of_the_turn(tmp_path: Path) -> None:
    """Without a wav file, a part of the recording is used."""
    release(tmp_path)
    (
        tmp_path / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    ).unlink()
    found = iemocap.find(tmp_path, modality="audio")
    without, with_wav = found.rows[:2]
    assert (without.path[-3:], without.start_s, without.stop_s) == (
        "avi",
        6.2901,
        8.2357,
    )
    assert (with_wav.path[-3:], with_wav.start_s, with_wav.sound) == ("wav", None, "")
    assert has_warning(found, "1 turns have no wav file")
    av = iemocap.find(tmp_path, modality="av")
    assert (av.rows[0].sound, av.rows[0].sound_at_s) == ("", None)


def test_turns_without_video_have_a_note(tmp_path: Path) -> None:
    turn = "Ses01M_impro04_M025"
    dialog(tmp_path, "Ses01M_impro04", (1.0, 2.0, turn, "sad"))
    assert "no picture" in iemocap.find(tmp_path, modality="av").rows[0].note


def test_missing_recordings_are_reported(tmp_path: Path) -> None:
    """In a release without videos, all turns are found, with a warning."""
    release(tmp_path)
    for avi in tmp_path.rglob("*.avi"):
        avi.unlink()
    found = iemocap.find(tmp_path, modality="av")
    assert has_warning(found, "2 dialogs have no avi file, the first Ses01F_impro01")
    with pytest.raises(ManifestError, match="none of 4 files exists"):
        found.clips()
    (tmp_path / "bare").mkdir()
    lay(tmp_path / "bare", "wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    with pytest.raises(ManifestError, match=r"EmoEvaluation.*has 0 avi and 1 wav file"):
        iemocap.find(tmp_path / "bare", modality="av")


@pytest.mark.parametrize("level", [".", "..", "Session1", "Session1/dialog"])
def test_the_root_can_be_any_folder_of_the_release(level: str, tmp_path: Path) -> None:
    root = release(tmp_path / "IEMOCAP_full_release")
    found = iemocap.find((root / level).resolve(), modality="av")
    row = by_id(found)["Ses01F_impro01_F000"]
    assert found.clips()[0].source.path == (
        root / "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    )
    assert row.crop == "left"
    assert len(found.rows) == (4 if level.startswith(".") else 2)


def test_names_in_another_case_and_flat_folders_are_accepted(tmp_path: Path) -> None:
    text = evaluation(*WOMAN_WITH_MARKERS)
    lay(tmp_path, "EMOEVALUATION/ses01f_IMPRO01.TXT", text=text)
    lay(tmp_path, "avi/SES01F_IMPRO01.AVI", "wavs/ses01f_impro01_f000.WAV")
    row = iemocap.find(tmp_path, modality="av").rows[0]
    assert row.clip_id == "Ses01F_impro01_F000"
    assert row.path == "avi/SES01F_IMPRO01.AVI"
    assert row.sound == "wavs/ses01f_impro01_f000.WAV"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels_are_read_in_every_encoding(
    encoding: str, end: str, tmp_path: Path
) -> None:
    expected = iemocap.find(release(tmp_path), modality="av")
    for file in tmp_path.rglob("EmoEvaluation/Ses*.txt"):
        text = file.read_text().replace("(surprised)", "(\xe9tonn\xe9 \x85 [sic])")
        file.write_bytes(text.replace("\n", end).encode(encoding))
    assert iemocap.find(tmp_path, modality="av") == expected


TURN = "[1.0000 - 2.0000]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (f"x\n{TURN[:40]}", "line 2: .* is not a turn; expected lines of"),
        (
            TURN.replace("neu", "joy"),
            "line 1: .*is not a turn.*ang dis exc fea fru hap",
        ),
        (TURN.replace("1.0000", "-1.0"), "line 1: .*is not a turn"),
        (TURN.replace("1.0000", "1e9"), "line 1: .*is not a turn"),
        (f"{TURN}\n\n{TURN}", "line 3: Ses01F_impro01_F000 is listed twice, first in "),
        (TURN.replace("2.0000", "1.0000"), "line 1: .*ends before it starts"),
        ("", "Ses01F_impro01.txt: contains no turns"),
        ("version https://git-lfs.github.com/spec/v1", "contains no turns"),
    ],
)
def test_the_damaged_line_is_named(text: str, match: str, tmp_path: Path) -> None:
    name = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    lay(tmp_path, name, text=text)
    with pytest.raises(ManifestError, match=match) as raised:
        iemocap.find(tmp_path, modality="av")
    assert str(raised.value).startswith(name)
    assert "\n" not in str(raised.value)


def test_a_turn_in_two_dialogs_raises(tmp_path: Path) -> None:
    """At most one of two evaluation files with the same turn can be right."""
    dialog(tmp_path, "Ses01F_impro01", WOMAN_WITH_MARKERS[0])
    dialog(tmp_path, "Ses01F_impro02", WOMAN_WITH_MARKERS[0])
    match = r"impro02\.txt, line 3: .* is listed twice, first in .*impro01\.txt, line 3"
    with pytest.raises(ManifestError, match=match):
        iemocap.find(tmp_path, modality="av")
