"""Corpora as their publishers ship them, and in every state that users have them in."""

import hashlib
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from fake_corpora import dialog, evaluation, lay
from mmder_prep.corpora import CORPORA, Corpus, cremad, iemocap, mead, ravdess
from mmder_prep.corpora.listing import files, lines_of
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_store.errors import ManifestError
from mmder_store.protocols import MEAD_SPEAKERS, PROTOCOLS


def hashed(rows: Iterable[ManifestRow]) -> str:
    """Hash a list of clips as the lists of the literature were hashed."""
    ids = sorted(row.clip_id for row in rows)
    return hashlib.sha256(("\n".join(ids) + "\n").encode()).hexdigest()


def by_id(manifest: Manifest) -> dict[str, ManifestRow]:
    return {row.clip_id: row for row in manifest.rows}


def said(manifest: Manifest, words: str) -> bool:
    return any(words in note for note in manifest.warnings)


# The lists and the folds that are published.

ALL_TAKES = "7fe3e76baca6974f3e4bea40f9254c0807f633940fbf5520a5428705bff2c792"
TAKES_TESTED = {
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
"""How the hash of the clips of each test fold begins, from lists not made here."""
ALL_CLIPS = "bb8248d8fd8a8d4197f3b675243304345679864bb4805f37ec08983cf9688210"
CLIPS_TESTED = (
    "dd05b4c670f6",
    "a6f37e8a3b59",
    "2ba6e0e138c6",
    "27e4466a608b",
    "19e855057c9c",
)


def test_the_1440_takes_of_ravdess_are_those_of_the_literature() -> None:
    known = ravdess.published(modality="av")
    assert (len(known.rows), hashed(known.rows)) == (1440, ALL_TAKES)
    assert known.counts["speaker"] == {f"{a:02d}": 60 for a in range(1, 25)}
    emotions = dict.fromkeys(ravdess.EMOTIONS.values(), 192) | {"neutral": 96}
    assert known.counts["emotion"] == emotions
    for row in known.rows:
        assert row.fold == (int(row.speaker) - 1) // 4 + 1


@pytest.mark.parametrize("name", TAKES_TESTED)
def test_the_folds_of_ravdess_are_those_of_the_literature(name: str) -> None:
    rows = ravdess.published(modality="av").rows
    fold_of = PROTOCOLS[name].fold_of
    for fold, wanted in enumerate(TAKES_TESTED[name], start=1):
        tested = [row for row in rows if fold_of.get(row.speaker) == fold]
        assert hashed(tested).startswith(wanted)
    assert max(fold_of.values()) == len(TAKES_TESTED[name])


def test_the_7442_clips_of_cremad_are_those_of_the_literature() -> None:
    known = cremad.published(modality="av")
    assert (len(known.rows), hashed(known.rows)) == (7442, ALL_CLIPS)
    emotions = dict.fromkeys(cremad.EMOTIONS.values(), 1271) | {"neutral": 1087}
    assert known.counts["emotion"] == emotions
    for fold, wanted in enumerate(CLIPS_TESTED, start=1):
        assert hashed(r for r in known.rows if r.fold == fold).startswith(wanted)
    fewer = {"1002": 81, "1008": 76, "1009": 76, "1019": 76, "1076": 81}
    everyone = {str(a): 82 for a in range(1001, 1092)} | fewer
    assert known.counts["speaker"] == everyone
    assert len(cremad.NEVER_RECORDED) == 20
    marked = {row.clip_id for row in known.rows if row.note}
    assert marked == {*cremad.KNOWN_BAD, *(c for p in cremad.SAME_SOUND for c in p)}


def test_7437_clips_remain_without_the_known_bad_ones() -> None:
    """The classes and the folds are those of HiCMAE's lists."""
    known = cremad.published(modality="av", include_known_bad=False)
    assert len(known.rows) == 7437
    codes = Counter(row.clip_id.split("_")[2] for row in known.rows)
    assert codes == {
        "ANG": 1271,
        "DIS": 1270,
        "FEA": 1271,
        "HAP": 1271,
        "NEU": 1086,
        "SAD": 1268,
    }
    folds = Counter(row.fold for row in known.rows)
    assert folds == {1: 1463, 2: 1470, 3: 1475, 4: 1474, 5: 1555}


def test_the_counts_of_iemocap_agree_with_one_another() -> None:
    four = iemocap.published(modality="av")
    assert sum(four.counts["emotion"].values()) == 5531
    sessions: Counter[str] = Counter()
    for speaker, clips in four.counts["speaker"].items():
        sessions[speaker[:5]] += clips
    assert list(sessions.values()) == [1085, 1023, 1151, 1031, 1241]
    every = iemocap.published(modality="av", all_turns=True)
    assert sum(every.counts["emotion"].values()) == 10_039
    assert len(iemocap.NO_PICTURE) == 8


def test_the_counts_of_mead_sum_up() -> None:
    known = mead.published(modality="audio")
    assert sum(known.counts["emotion"].values()) == 31_729
    assert known.counts["speaker"].keys() == set(MEAD_SPEAKERS)
    assert Counter(s[0] for s in MEAD_SPEAKERS) == {"M": 27, "W": 21}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_speaker_has_one_place_in_a_protocol(name: str) -> None:
    """Tested, only trained on, or held out: nobody twice, and nobody forgotten."""
    protocol = PROTOCOLS[name]
    places = [*protocol.fold_of, *protocol.only_trained, *protocol.held_out]
    everyone = {
        "ravdess": [f"{a:02d}" for a in range(1, 25)],
        "cremad": [str(a) for a in range(1001, 1092)],
        "iemocap": [f"Ses0{k}{sex}" for k in range(1, 6) for sex in "FM"],
        "mead": list(MEAD_SPEAKERS),
    }[name.split("-")[0]]
    assert sorted(places) == sorted(everyone)
    folds = set(protocol.fold_of.values())
    assert folds == set(range(1, int(name.rsplit("-", 1)[1]) + 1))
    assert protocol.source


def test_what_is_special_in_some_protocols() -> None:
    """AVT's one split has validation actors; CFN-SR never tests the last four."""
    avt = PROTOCOLS["ravdess-avt-1"]
    assert sorted(avt.fold_of) == ["05", "10", "16", "19"]
    assert avt.held_out == ("11", "13", "18", "22")
    assert PROTOCOLS["ravdess-cfn-sr-5"].only_trained == ("21", "22", "23", "24")
    for fold in range(1, 6):
        of = [
            s for s, k in PROTOCOLS["iemocap-sessions-5"].fold_of.items() if k == fold
        ]
        assert sorted(of) == [f"Ses0{fold}F", f"Ses0{fold}M"]
    men, women = Counter[int](), Counter[int]()
    for speaker, fold in PROTOCOLS["mead-speakers-5"].fold_of.items():
        (men if speaker[0] == "M" else women)[fold] += 1
    assert set(men.values()) == {5, 6}
    assert set(women.values()) == {4, 5}


# Any corpus: the folder is wrong, or odd.


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_a_folder_without_the_corpus_is_one_clear_line(
    corpus: Corpus, tmp_path: Path
) -> None:
    """What was looked for, where, what is there instead, and the way out."""
    way = rf"name the folder with --root or {corpus.root_variable}$"
    other = lay(tmp_path / "other", "a/b/clip.mp4", "a/readme.txt")
    lay(tmp_path, "file.mp4")
    (tmp_path / "empty").mkdir()
    for folder, there in (
        ("none", "there is no such folder"),
        ("file.mp4", "that is no folder"),
        ("empty", "0 media files are there"),
        ("other", r"1 media files are there, the first a/b/clip\.mp4"),
    ):
        with pytest.raises(ManifestError, match=f"{corpus.name}: no .*{there}") as seen:
            corpus.find(tmp_path / folder, modality="av")
        assert seen.match(way)
        assert "\n" not in str(seen.value)
    assert other.is_dir()


ONE_OF_EACH: dict[str, Callable[[Path], Path]] = {
    "ravdess": lambda root: lay(root, "Actor_01/01-01-03-01-01-01-01.mp4"),
    "cremad": lambda root: lay(
        root, "VideoFlash/1001_DFA_ANG_XX.flv", "AudioWAV/1001_DFA_ANG_XX.wav"
    ),
    "iemocap": lambda root: dialog(
        root, "Ses01F_impro01", (6.2901, 8.2357, "Ses01F_impro01_F000", "neu")
    ),
    "mead": lambda root: lay(root, "M003/video/front/angry/level_1/001.mp4"),
}


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_of_a_mix_of_corpora_one_is_taken_and_the_rest_said(
    corpus: Corpus, tmp_path: Path
) -> None:
    for name, make in ONE_OF_EACH.items():
        make(tmp_path / name)
    found = corpus.find(tmp_path, modality="av")
    assert len(found.rows) == 1
    media = [p for p in files(tmp_path) if Path(p).suffix != ".txt"]
    assert list(found.strays) == [p for p in media if not p.startswith(corpus.name)]
    assert said(found, f"{len(found.strays)} media files are no clips of")


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_a_second_copy_of_a_clip_is_left_out_and_said(
    corpus: Corpus, tmp_path: Path
) -> None:
    """Also the copies that macOS hides, and the folders that begin with a dot."""
    make = ONE_OF_EACH[corpus.name]
    make(tmp_path / "first")
    one = corpus.find(tmp_path, modality="av")
    make(tmp_path / ".hidden")
    for path in list(files(tmp_path)):
        hidden = tmp_path / path
        hidden.with_name("._" + hidden.name).write_bytes(b"\0\5\x16\7")
    assert corpus.find(tmp_path, modality="av") == one
    make(tmp_path / "second")
    two = corpus.find(tmp_path, modality="av")
    assert two.rows == one.rows
    assert said(two, "there twice and the first found is taken; left out is second/")


def test_ten_thousand_files_are_listed_in_two_seconds(tmp_path: Path) -> None:
    """A copy of CREMA-D, with the sound that is not needed, too."""
    for row in cremad.published(modality="av").rows[:5000]:
        lay(tmp_path, row.path, row.sound, text="")
    before = time.process_time()
    assert len(cremad.find(tmp_path, modality="av").rows) > 4900
    assert time.process_time() - before < 2


def test_links_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    """Copies are often put together of links; git-annex leaves some to nowhere."""
    lay(tmp_path / "disk", "AudioWAV/1001_DFA_ANG_XX.wav")
    root = lay(tmp_path / "root", "VideoFlash/1001_DFA_ANG_XX.flv")
    (root / "AudioWAV").symlink_to(tmp_path / "disk" / "AudioWAV")
    (root / "VideoFlash" / "up").symlink_to(root)
    (root / "VideoFlash" / "1001_DFA_HAP_XX.flv").symlink_to(root / "gone")
    assert list(files(root)) == [
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "VideoFlash/1001_DFA_HAP_XX.flv",
    ]


def test_a_name_that_is_no_text_can_be_said(tmp_path: Path) -> None:
    lay(tmp_path, "01-01-03-01-01-01-01.mp4", "\x1b[2J.mp4")
    (tmp_path / "\udcff.mp4").touch()
    found = ravdess.find(tmp_path, modality="av")
    assert found.strays == (r"'\x1b[2J.mp4'", r"'\udcff.mp4'")
    assert "".join(found.warnings).isprintable()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_whatever_saved_it(
    encoding: str, end: str, tmp_path: Path
) -> None:
    """An odd character in a comment ends no line."""
    lines = ["a;b", "", "caf\xe9 \x85 c"]
    (tmp_path / "x.txt").write_bytes(end.join(lines).encode(encoding))
    assert lines_of(tmp_path, "x.txt") == lines


# RAVDESS.


def test_ravdess_takes_one_of_three_forms_of_a_take(tmp_path: Path) -> None:
    """Mute copies and songs are other things; a name in capitals is not."""
    lay(
        tmp_path,
        "Actor_01/01-01-03-01-01-01-01.MP4",
        "Actor_01/02-01-03-01-01-01-01.mp4",
        "Actor_01/01-02-03-01-01-01-01.mp4",
        "Actor_01/03-01-03-01-01-01-01.WAV",
        "Actor_01/03-02-03-01-01-01-01.wav",
        "Actor_00/01-01-03-01-01-01-01.wav",
    )
    seen = ravdess.find(tmp_path, modality="av")
    assert [r.path for r in seen.rows] == ["Actor_01/01-01-03-01-01-01-01.MP4"]
    heard = ravdess.find(tmp_path, modality="audio")
    assert [r.path for r in heard.rows] == ["Actor_01/03-01-03-01-01-01-01.WAV"]
    assert seen.strays == heard.strays == ()
    assert {p.name for p in seen.protocols} > set(TAKES_TESTED)
    assert seen.protocols[0].name == "ravdess-contiguous-6"


def test_ravdess_in_its_archives_is_ravdess_unpacked(tmp_path: Path) -> None:
    """Folders of macOS in the archive are none of it."""
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
    assert other.strays == ()


# CREMA-D.

VOTES = '"",FileName,VoiceVote,VoiceLevel,FaceVote,FaceLevel,MultiModalVote,'
VOTES += "MultiModalLevel"


def clips(*names: str, sound: bool = True) -> list[str]:
    pictures = [f"VideoFlash/{name}.flv" for name in names]
    return pictures + [f"AudioWAV/{name}.wav" for name in names if sound]


def test_cremad_has_its_sound_apart(tmp_path: Path) -> None:
    """Where the wav file is missing, the video's sound serves, and it is said."""
    lay(tmp_path, *clips("1001_DFA_ANG_XX", "1091_IEO_HAP_HI"))
    lay(tmp_path, *clips("1002_TIE_SAD_XX", sound=False))
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
    assert said(found, "1 clips have no wav file: the video's own sound is taken")
    assert [s.name for s in found.label_sets] == ["cremad-6", "cremad-4"]
    heard = cremad.find(tmp_path, modality="audio")
    assert [(r.path[:8], r.sound) for r in heard.rows] == [("AudioWAV", "")] * 2
    lay(tmp_path / "mp3", "AudioMP3/1003_TIE_SAD_XX.mp3")
    with pytest.raises(ManifestError, match="1 clips are there in other forms"):
        cremad.find(tmp_path / "mp3", modality="av")


def test_cremad_leaves_out_what_is_known_to_be_bad_and_names_it(tmp_path: Path) -> None:
    lay(tmp_path, *clips("1001_DFA_ANG_XX", *cremad.KNOWN_BAD))
    found = cremad.find(tmp_path, modality="av")
    assert list(by_id(found)) == ["1001_DFA_ANG_XX"]
    assert all(said(found, clip_id) for clip_id in cremad.KNOWN_BAD)
    assert said(found, "--include-known-bad")
    every = cremad.find(tmp_path, modality="av", include_known_bad=True)
    assert len(every.rows) == 6
    assert "minute" in by_id(every)["1064_IEO_DIS_MD"].note


def test_cremad_names_of_old_copies_and_other_cases_are_known(tmp_path: Path) -> None:
    lay(tmp_path, "v/1040_ITH_SAD_XX.flv", "a/1040_ITH_SAD_X.wav")
    lay(tmp_path, "v/1001_ieo_neu_xx.FLV", "a/1001_IEO_NEU_XX.WAV")
    rows = by_id(cremad.find(tmp_path, modality="av", include_known_bad=True))
    assert rows["1040_ITH_SAD_XX"].sound == "a/1040_ITH_SAD_X.wav"
    assert rows["1001_IEO_NEU_XX"].path == "v/1001_ieo_neu_xx.FLV"
    assert rows["1001_IEO_NEU_XX"].sound == "a/1001_IEO_NEU_XX.WAV"


@pytest.mark.parametrize(
    "name", ["1000_DFA_ANG_XX", "1092_DFA_ANG_XX", "1001_DFA_JOY_XX", "1001_ABC_ANG_XX"]
)
def test_cremad_has_no_clip_of_such_a_name(name: str, tmp_path: Path) -> None:
    lay(tmp_path, *clips("1001_DFA_ANG_XX"), f"VideoFlash/{name}.flv")
    found = cremad.find(tmp_path, modality="av")
    assert found.strays == (f"VideoFlash/{name}.flv",)


def test_cremad_names_the_pairs_of_one_sound(tmp_path: Path) -> None:
    """Where both are there; each points at the other in the store."""
    one, other = cremad.SAME_SOUND[0]
    half = cremad.SAME_SOUND[1][0]
    lay(tmp_path, *clips(one, other, half))
    found = cremad.find(tmp_path, modality="av")
    assert said(found, f"the same sound, two labels: {one} = {other}")
    assert not said(found, half)
    assert other in by_id(found)[one].note
    assert one in by_id(found)[other].note


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_cremad_reads_the_votes_of_the_crowd(
    encoding: str, end: str, tmp_path: Path
) -> None:
    """Ties count for nobody; the actor's own label stays."""
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
    assert said(found, "2 rated_voice, 1 rated_face, 1 rated_both")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        ("", "begins ''"),
        ("a;b;c\n1;2;3", "columns FileName, VoiceVote, FaceVote, MultiModalVote exp"),
        (VOTES + "\n1,1001_DFA_ANG_XX,A", "line 2 is too short"),
        (VOTES + '\n1,"1001_DFA', "line 2: unexpected end of data"),
        (VOTES + "\n1," + "x" * 200_000, "line 2: field larger"),
    ],
)
def test_cremad_refuses_a_table_of_votes_that_is_none(
    text: str, match: str, tmp_path: Path
) -> None:
    lay(tmp_path, *clips("1001_DFA_ANG_XX"))
    lay(tmp_path, "processedResults/summaryTable.csv", text=text)
    with pytest.raises(ManifestError, match=match) as seen:
        cremad.find(tmp_path, modality="av")
    assert str(seen.value).startswith("processedResults/summaryTable.csv")


# IEMOCAP.

WOMAN_MARKED = (
    (6.2901, 8.2357, "Ses01F_impro01_F000", "neu"),
    (7.9, 10.5, "Ses01F_impro01_M000", "exc"),
    (11.0, 12.0, "Ses01F_impro01_F001", "xxx"),
    (12.5, 13.0, "Ses01F_impro01_MXX0", "oth"),
    (13.5, 15.25, "Ses01F_impro01_M001", "fru"),
)
MAN_MARKED = (
    (0.5, 4.0, "Ses05M_script01_1b_M003", "ang"),
    (3.0, 5.0, "Ses05M_script01_1b_F000", "sad"),
)


def release(root: Path) -> Path:
    dialog(root, "Ses01F_impro01", *WOMAN_MARKED)
    return dialog(root, "Ses05M_script01_1b", *MAN_MARKED)


def test_iemocap_finds_the_turns_their_times_and_their_halves(tmp_path: Path) -> None:
    """Left is who wears the markers, the letter of the dialog: man or woman."""
    found = iemocap.find(release(tmp_path), modality="av")
    told = {
        r.clip_id: (r.speaker, r.emotion, r.crop, r.start_s, r.stop_s)
        for r in found.rows
    }
    assert told == {
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
    assert said(found, "4 turns of 2 of 151 dialogs")
    assert found.strays == ()


def test_iemocap_gives_every_turn_where_asked(tmp_path: Path) -> None:
    """Those on which raters did not agree have no label, and are trained on never."""
    found = iemocap.find(release(tmp_path), modality="av", all_turns=True)
    assert [r.emotion for r in found.rows][:5] == [
        "neutral",
        "excited",
        "",
        "",
        "frustrated",
    ]
    assert found.label_sets[0].label("frustrated") == -1


def test_iemocap_sound_alone_is_the_turns_own_file(tmp_path: Path) -> None:
    """From its start; where it is missing, a part of the recording."""
    release(tmp_path)
    (
        tmp_path / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    ).unlink()
    found = iemocap.find(tmp_path, modality="audio")
    gone, there = found.rows[:2]
    assert (gone.path[-3:], gone.start_s, gone.stop_s) == ("avi", 6.2901, 8.2357)
    assert (there.path[-3:], there.start_s, there.sound) == ("wav", None, "")
    assert said(found, "1 turns have no wav file")
    seen = iemocap.find(tmp_path, modality="av")
    assert (seen.rows[0].sound, seen.rows[0].sound_at_s) == ("", None)


def test_iemocap_marks_the_turns_without_a_picture(tmp_path: Path) -> None:
    turn = "Ses01M_impro04_M025"
    dialog(tmp_path, "Ses01M_impro04", (1.0, 2.0, turn, "sad"))
    assert "no picture" in iemocap.find(tmp_path, modality="av").rows[0].note


def test_iemocap_says_which_recordings_are_missing(tmp_path: Path) -> None:
    """The release without videos: all turns, and the line that says what is not."""
    release(tmp_path)
    for avi in tmp_path.rglob("*.avi"):
        avi.unlink()
    found = iemocap.find(tmp_path, modality="av")
    assert said(found, "2 dialogs have no avi file, the first Ses01F_impro01")
    with pytest.raises(ManifestError, match="none of 4 files is there"):
        found.clips()
    (tmp_path / "bare").mkdir()
    lay(tmp_path / "bare", "wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    with pytest.raises(
        ManifestError, match=r"EmoEvaluation.*0 avi and 1 wav files are"
    ):
        iemocap.find(tmp_path / "bare", modality="av")


@pytest.mark.parametrize("level", [".", "..", "Session1", "Session1/dialog"])
def test_iemocap_may_be_named_from_any_folder_of_it(level: str, tmp_path: Path) -> None:
    root = release(tmp_path / "IEMOCAP_full_release")
    found = iemocap.find((root / level).resolve(), modality="av")
    row = by_id(found)["Ses01F_impro01_F000"]
    assert found.clips()[0].source.path == (
        root / "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    )
    assert row.crop == "left"
    assert len(found.rows) == (4 if level.startswith(".") else 2)


def test_iemocap_names_in_another_case_and_flat_folders_are_known(
    tmp_path: Path,
) -> None:
    text = evaluation(*WOMAN_MARKED)
    lay(tmp_path, "EMOEVALUATION/ses01f_IMPRO01.TXT", text=text)
    lay(tmp_path, "avi/SES01F_IMPRO01.AVI", "wavs/ses01f_impro01_f000.WAV")
    row = iemocap.find(tmp_path, modality="av").rows[0]
    assert row.clip_id == "Ses01F_impro01_F000"
    assert row.path == "avi/SES01F_IMPRO01.AVI"
    assert row.sound == "wavs/ses01f_impro01_f000.WAV"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_iemocap_labels_are_read_whatever_saved_them(
    encoding: str, end: str, tmp_path: Path
) -> None:
    whole = iemocap.find(release(tmp_path), modality="av")
    for file in tmp_path.rglob("EmoEvaluation/Ses*.txt"):
        text = file.read_text().replace("(surprised)", "(\xe9tonn\xe9 \x85 [sic])")
        file.write_bytes(text.replace("\n", end).encode(encoding))
    assert iemocap.find(tmp_path, modality="av") == whole


TURN = "[1.0000 - 2.0000]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (f"x\n{TURN[:40]}", "line 2: .* is no turn; expected lines of"),
        (TURN.replace("neu", "joy"), "line 1: .*is no turn.*ang dis exc fea fru hap"),
        (TURN.replace("1.0000", "-1.0"), "line 1: .*is no turn"),
        (TURN.replace("1.0000", "1e9"), "line 1: .*is no turn"),
        (f"{TURN}\n\n{TURN}", "line 3: Ses01F_impro01_F000 is there twice, before in "),
        (TURN.replace("2.0000", "1.0000"), "line 1: .*stops before it starts"),
        ("", "Ses01F_impro01.txt: no turn in it"),
        ("version https://git-lfs.github.com/spec/v1", "no turn in it"),
    ],
)
def test_iemocap_names_the_line_that_is_damaged(
    text: str, match: str, tmp_path: Path
) -> None:
    name = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    lay(tmp_path, name, text=text)
    with pytest.raises(ManifestError, match=match) as seen:
        iemocap.find(tmp_path, modality="av")
    assert str(seen.value).startswith(name)
    assert "\n" not in str(seen.value)


def test_iemocap_has_a_turn_in_one_dialog(tmp_path: Path) -> None:
    """Two evaluation files that hold the same turn are not both right."""
    dialog(tmp_path, "Ses01F_impro01", WOMAN_MARKED[0])
    dialog(tmp_path, "Ses01F_impro02", WOMAN_MARKED[0])
    match = r"impro02\.txt, line 3: .* is there twice, before in .*impro01\.txt, line 3"
    with pytest.raises(ManifestError, match=match):
        iemocap.find(tmp_path, modality="av")


# MEAD.


def test_mead_takes_one_camera(tmp_path: Path) -> None:
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
    assert said(front, "3 clips of 2 of 48 actors")
    left = mead.find(tmp_path, modality="av", view="left_30")
    assert [r.path for r in left.rows] == ["M003/video/left_30/angry/level_1/001.mp4"]
    heard = mead.find(tmp_path, modality="audio")
    assert [r.path for r in heard.rows] == ["M003/audio/angry/level_1/001.m4a"]
    with pytest.raises(ManifestError, match=r"no video/top/.*5 clips of other views"):
        mead.find(tmp_path, modality="av", view="top")


@pytest.mark.parametrize("level", [".", "M003", "M003/video", "M003/video/front"])
def test_mead_may_be_named_from_any_folder_of_it(level: str, tmp_path: Path) -> None:
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
def test_mead_in_another_order_of_folders_is_none(path: str, tmp_path: Path) -> None:
    """Nor is an actor who was never released."""
    lay(tmp_path, "M003/video/front/angry/level_1/001.mp4", path)
    found = mead.find(tmp_path, modality="av")
    assert found.strays == (path,)
    assert said(found, "1 media files are no clips of MEAD")
