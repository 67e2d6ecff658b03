"""A manifest is right, or its first wrong line is named with the way out."""

from pathlib import Path

import pytest

from mmder_prep.corpora import CORPORA, ravdess
from mmder_prep.corpora.manifest import read_manifest
from mmder_store.errors import ManifestError

HEAD = "clip_id,path,emotion,speaker"


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    file = folder / "m.csv"
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


def test_a_manifest_gives_its_rows_in_order(tmp_path: Path) -> None:
    """Emotions in any case, blanks around values, a byte order mark, CRLF."""
    file = tmp_path / "m.csv"
    lines = [
        f"{HEAD},start_s,stop_s,crop,fold",
        "b, b.mp4 ,Happy,anna,1.5,4,LEFT,2",
        "a,a.mp4,,ben,,,1  2 30 40,1",
    ]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    made = read_manifest(file, root=None)
    assert [r.clip_id for r in made.rows] == ["b", "a"]
    first, second = made.rows
    assert (first.emotion, first.path, first.start_s, first.crop) == (
        "happy",
        "b.mp4",
        1.5,
        "left",
    )
    assert (second.emotion, second.stop_s, second.crop) == ("", None, "1 2 30 40")
    assert made.protocols[0].fold_of == {"anna": 2, "ben": 1}
    assert made.label_sets[0].classes == ("happy",)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("a,a.mp4,joyful,x", r"line 2: emotion 'joyful' is not known.*expected one of"),
        ("a,a.mp4,hapy,x", "did you mean 'happy'"),
        (",a.mp4,happy,x", "line 2: clip_id ''"),
        ("a,,happy,x", "line 2: path ''"),
        ("a,a.mp4,happy,", "line 2: speaker ''"),
        ("a,a.mp4,happy", "line 2: other than 4 values"),
        ("a,a.mp4,happy,x,y", "line 2: other than 4 values"),
        ('a,"a.mp4,happy,x', "not CSV"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, match: str) -> None:
    with pytest.raises(ManifestError, match=match):
        read_manifest(write(tmp_path, line), root=None)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("-1,,,", "start_s '-1'"),
        ("nan,,,", "start_s 'nan'"),
        ("1e99,,,", "start_s"),
        ("3,2,,", "stop_s 2.0 is not after start_s 3.0"),
        (",,middle,", "crop 'middle': expected left, right"),
        (",,1 2 3,", "crop '1 2 3'"),
        (",,,0", "fold '0'"),
        (",,,x", "fold 'x'"),
    ],
)
def test_a_wrong_optional_value_is_named(
    tmp_path: Path, value: str, match: str
) -> None:
    file = write(
        tmp_path, f"a,a.mp4,sad,x,{value}", head=HEAD + ",start_s,stop_s,crop,fold"
    )
    with pytest.raises(ManifestError, match=match):
        read_manifest(file, root=None)


def test_missing_and_unknown_columns_are_listed(tmp_path: Path) -> None:
    """A column spelled wrong is never silently ignored."""
    file = write(tmp_path, "a,b", head="clip_id,file")
    match = "missing 'path', 'emotion', 'speaker'; not known 'file'"
    with pytest.raises(ManifestError, match=match):
        read_manifest(file, root=None)


def test_a_clip_id_is_used_once(tmp_path: Path) -> None:
    """Both lines are named."""
    file = write(tmp_path, "a,a.mp4,sad,x", "b,b.mp4,sad,x", "a,c.mp4,sad,x")
    with pytest.raises(ManifestError, match="line 4: clip_id 'a' is already on line 2"):
        read_manifest(file, root=None)


def test_a_speaker_is_tested_in_one_fold(tmp_path: Path) -> None:
    file = write(tmp_path, "a,a.mp4,sad,x,1", "b,b.mp4,sad,x,2", head=HEAD + ",fold")
    with pytest.raises(
        ManifestError, match="line 3: speaker 'x' in fold 2, before in 1"
    ):
        read_manifest(file, root=None)


def test_what_is_no_manifest_says_so(tmp_path: Path) -> None:
    """No file, no clip, no text."""
    with pytest.raises(ManifestError, match="No such file"):
        read_manifest(tmp_path / "none.csv", root=None)
    with pytest.raises(ManifestError, match="no clip in it"):
        read_manifest(write(tmp_path), root=None)
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ManifestError, match="UTF-8"):
        read_manifest(tmp_path / "x.csv", root=None)


def test_no_path_leaves_the_root(tmp_path: Path) -> None:
    file = write(tmp_path, "a,../../etc/passwd,sad,x")
    with pytest.raises(ManifestError, match=r"leads out of.*--root"):
        read_manifest(file, root=None).clips()


def test_a_manifest_of_files_that_are_not_there_is_refused_at_once(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, "a,a.mp4,sad,x")
    with pytest.raises(ManifestError, match=r"none of 1 files is there.*--root"):
        read_manifest(file, root=None).clips()


def test_the_example_manifest_is_one() -> None:
    """The file that the documentation tells users to copy from is right."""
    root = Path(__file__).parents[2] / "data_manifests"
    made = read_manifest(root / "example.csv", root=None)
    assert len(made.rows) == 4
    assert set(made.protocols[0].fold_of.values()) == {1, 2}


def touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")


def test_ravdess_takes_full_speech_and_nothing_else(tmp_path: Path) -> None:
    """Mute copies, songs, sound alone and hidden files are other things."""
    for name in (
        "Actor_02/01-01-05-02-01-02-02.mp4",
        "Actor_01/01-01-02-01-01-01-01.mp4",
        "Actor_01/02-01-02-01-01-01-01.mp4",
        "Actor_01/01-02-02-01-01-01-01.mp4",
        "Actor_01/03-01-02-01-01-01-01.wav",
        "Actor_01/._01-01-03-01-01-01-01.mp4",
        "Actor_01/01-01-09-01-01-01-01.mp4",
        "readme.txt",
    ):
        touch(tmp_path / name)
    rows = ravdess.find(tmp_path, modality="av").rows
    assert [(r.clip_id, r.speaker, r.emotion) for r in rows] == [
        ("01-01-02-01-01-01-01", "01", "calm"),
        ("01-01-05-02-01-02-02", "02", "angry"),
    ]
    sound = ravdess.find(tmp_path, modality="audio").rows
    assert [r.path for r in sound] == ["Actor_01/03-01-02-01-01-01-01.wav"]


def test_ravdess_is_read_from_its_archives_and_no_take_twice(tmp_path: Path) -> None:
    """A take both unpacked and in its zip is one take, and the user is told."""
    import zipfile

    touch(tmp_path / "Actor_01" / "01-01-02-01-01-01-01.mp4")
    with zipfile.ZipFile(tmp_path / "Video_Speech_Actor_01.zip", "w") as archive:
        archive.writestr("Actor_01/01-01-02-01-01-01-01.mp4", b"x")
        archive.writestr("Actor_01/01-01-03-01-01-01-01.mp4", b"y")
    made = ravdess.find(tmp_path, modality="av")
    assert [r.path for r in made.rows] == [
        "Actor_01/01-01-02-01-01-01-01.mp4",
        "Video_Speech_Actor_01.zip/Actor_01/01-01-03-01-01-01-01.mp4",
    ]
    assert any("twice" in note for note in made.warnings)
    member = made.clips()[1].source
    assert member.input().read() == b"y"  # type: ignore[union-attr]


def test_where_ravdess_is_not_the_message_says_where_it_is(tmp_path: Path) -> None:
    """Where it looked, what is there, the Zenodo record, how to point at it."""
    match = r"no such folder.*Zenodo record 1188976.*--root.*MMDER_RAVDESS_ROOT"
    with pytest.raises(ManifestError, match=match):
        ravdess.find(tmp_path / "none", modality="av")
    touch(tmp_path / "Actor_01" / "02-01-02-01-01-01-01.mp4")
    with pytest.raises(ManifestError, match=r"no take 01-01.*1 other files of RAVDESS"):
        ravdess.find(tmp_path, modality="av")
    (tmp_path / "Video_Speech_Actor_01.zip").write_bytes(b"PK broken")
    with pytest.raises(ManifestError, match=r"Video_Speech_Actor_01\.zip: cannot be"):
        ravdess.find(tmp_path, modality="av")


def test_every_corpus_has_a_name_a_root_and_a_variable() -> None:
    """The table that makes the commands is whole."""
    assert len({c.name for c in CORPORA}) == len(CORPORA)
    for corpus in CORPORA:
        assert corpus.root_variable.startswith("MMDER_")
        assert not corpus.root.is_absolute()
