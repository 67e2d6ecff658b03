"""Manifests: valid files, unique clips, consistent folds, and existing media."""

from pathlib import Path

import pytest

from mmder_prep.corpora.manifest_file import read_list, read_manifest
from mmder_store.errors import ManifestError, MediaError

HEAD = "clip_id,path,emotion,speaker"


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    file = folder / "m.csv"
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


def test_rows_are_read_in_order(tmp_path: Path) -> None:
    """Upper case, spaces around values, a byte order mark and CRLF are accepted."""
    file = tmp_path / "m.csv"
    lines = [
        f"{HEAD},start_s,stop_s,crop,fold",
        "b, b.mp4 ,Happy,anna,1.5,4,LEFT,2",
        "a,a.mp4,,ben,,,1  2 30 40,1",
    ]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    manifest = read_manifest(file, root=None)
    assert [r.clip_id for r in manifest.rows] == ["b", "a"]
    first, second = manifest.rows
    assert (first.emotion, first.path, first.start_s, first.crop) == (
        "happy",
        "b.mp4",
        1.5,
        "left",
    )
    assert (second.emotion, second.stop_s, second.crop) == ("", None, "1 2 30 40")
    assert manifest.protocols[0].fold_of == {"anna": 2, "ben": 1}
    assert manifest.label_sets[0].classes == ("happy",)


def test_a_clip_id_must_be_unique(tmp_path: Path) -> None:
    """Both lines are named."""
    file = write(tmp_path, "a,a.mp4,sad,x", "b,b.mp4,sad,x", "a,c.mp4,sad,x")
    with pytest.raises(ManifestError, match="line 4: clip_id 'a' is already on line 2"):
        read_manifest(file, root=None)


def test_a_speaker_must_have_one_fold(tmp_path: Path) -> None:
    file = write(tmp_path, "a,a.mp4,sad,x,1", "b,b.mp4,sad,x,2", head=HEAD + ",fold")
    match = "line 3: speaker 'x' has fold 2, on an earlier line fold 1"
    with pytest.raises(ManifestError, match=match):
        read_manifest(file, root=None)


def test_a_path_must_not_lead_out_of_the_root(tmp_path: Path) -> None:
    file = write(tmp_path, "a,../../etc/passwd,sad,x")
    with pytest.raises(ManifestError, match=r"leads out of.*--root"):
        read_manifest(file, root=None).clips()


def test_a_manifest_without_existing_files_raises_immediately(tmp_path: Path) -> None:
    file = write(tmp_path, "a,a.mp4,sad,x")
    with pytest.raises(ManifestError, match=r"none of 1 files exists.*--root"):
        read_manifest(file, root=None).clips()


def test_the_example_manifest_is_valid() -> None:
    """The documentation refers users to this file."""
    root = Path(__file__).parents[3] / "data_manifests"
    manifest = read_manifest(root / "example.csv", root=None)
    assert len(manifest.rows) == 4
    assert set(manifest.protocols[0].fold_of.values()) == {1, 2}


def test_the_hash_of_a_valid_manifest_never_changes(tmp_path: Path) -> None:
    """The hash is that of mmder 0.2.0 before dialects and spellings were read."""
    (tmp_path / "m.csv").write_text(
        "clip_id,path,emotion,speaker,start_s,stop_s,crop,sound,sound_at_s,fold,"
        "rated_voice,note\n"
        '"b ""1""", b.mp4 ,Happy,anna,1.5,4,LEFT,,,2,sad,"two  words, quoted"\n'
        "a,sub/a.zip/x.mp4,,ben,,,1  2 30 40,a.wav,0.25,1,,\n"
        "ü,ü.mp4,NEUTRAL,01,12.,,,,,3,,\n",
        encoding="utf-8",
    )
    manifest = read_manifest(tmp_path / "m.csv", root=None)
    assert manifest.sha256 == (
        "b01b292ea244adf538f06b70d497f61dc280c380235c4ce3754b833fb7e27db8"
    )
    assert manifest.warnings == ()


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """The advice on emotions is printed once, with the option for other words."""
    lines = ("a,,joyful,x", "b,b.mp4,angy,", "a,c.mp4,sad,x", "a,c.mp4,joyful,x", "d,e")
    file = write(tmp_path, "a,a.mp4,sad,x", *lines)
    with pytest.raises(ManifestError) as raised:
        read_manifest(file, root=None)
    text = str(raised.value).split("\n")
    assert text[0] == f"manifest {file}: 9 problems"
    assert sorted(text[1:-2]) == [
        "line 3: path '': expected 1 to 1000 printable characters",
        "line 4: emotion 'angy' is unknown (did you mean 'angry'?)",
        "line 4: speaker '': expected 1 to 1000 printable characters",
        "line 7: expected 4 values, one per column; quote values that contain commas",
        "lines 3, 5, 6: clip_id 'a' is already on line 2",
        "lines 3, 6: emotion 'joyful' is unknown",
    ]
    assert text[-2].startswith("expected one of angry, anxious, calm")
    assert "--label-map" in text[-2]


def test_usual_spellings_of_emotions_are_read_and_named(tmp_path: Path) -> None:
    words = ("ANG", "Fear", "fear", "Happiness", "surprise", "sad", "HAPPY", "")
    rows = [f"c{i},{i}.mp4,{word},x" for i, word in enumerate(words)]
    manifest = read_manifest(write(tmp_path, *rows), root=None)
    assert [r.emotion for r in manifest.rows] == [
        *("angry", "fearful", "fearful", "happy", "surprised", "sad", "happy", ""),
    ]
    (warning,) = manifest.warnings
    assert "'ANG' as angry (1)" in warning
    assert "'HAPPY'" not in warning
    assert manifest.label_sets[0].classes == (
        *("angry", "fearful", "happy", "sad", "surprised"),
    )


def test_classes_of_ones_own_come_from_a_label_map(tmp_path: Path) -> None:
    """They follow the words of the vocabulary; the label map has precedence."""
    rows = ("a,a.mp4,Langeweile,x", "b,b.mp4,sad,x", "c,c.mp4,boredom,x", "d,d.mp4,?,x")
    labels = {"langeweile": "boredom", "boredom": "boredom", "?": "", "sad": "angry"}
    manifest = read_manifest(write(tmp_path, *rows), root=None, label_map=labels)
    assert [r.emotion for r in manifest.rows] == ["boredom", "angry", "boredom", ""]
    assert manifest.label_sets[0].classes == ("angry", "boredom")
    assert "m.csv: classes of your own: boredom" in manifest.warnings
    assert any("'?' as no emotion (1)" in line for line in manifest.warnings)


def test_a_table_of_excel_is_read(tmp_path: Path) -> None:
    """Semicolons, decimal commas, capital names, a further column and Windows-1252."""
    text = "Clip_ID;Path;Emotion;Speaker;Start_S;Age\nä;ä.mp4;Fear;Jörg;12,5;31\n"
    (tmp_path / "m.csv").write_bytes(text.encode("cp1252"))
    manifest = read_manifest(tmp_path / "m.csv", root=None)
    (row,) = manifest.rows
    assert (row.clip_id, row.emotion, row.speaker) == ("ä", "fearful", "Jörg")
    assert row.start_s == 12.5
    assert len(manifest.warnings) == 3


@pytest.mark.parametrize("character", ["\n", "\u2028", "\x85"])
def test_a_line_break_in_an_id_is_refused(character: str, tmp_path: Path) -> None:
    """It was dropped once, which made another id."""
    file = write(tmp_path, f'"a{character}b",a.mp4,sad,x')
    with pytest.raises(ManifestError, match=r"line 2: clip_id 'a.*b'"):
        read_manifest(file, root=None)


def test_the_lines_of_a_note_are_joined(tmp_path: Path) -> None:
    file = write(tmp_path, 'a,a.mp4,sad,x,"dim \r\n light"', head=HEAD + ",note")
    assert read_manifest(file, root=None).rows[0].note == "dim light"


def test_speakers_that_differ_only_in_spelling_are_named(tmp_path: Path) -> None:
    names = ("1", "1.0", "01", "Anna", "anna", "ben", "2")
    rows = [f"c{i},{i}.mp4,sad,{name}" for i, name in enumerate(names)]
    (warning,) = read_manifest(write(tmp_path, *rows), root=None).warnings
    assert "speakers '01' and '1' and '1.0', 'Anna' and 'anna' are counted" in warning


def test_blanks_around_speakers_are_ignored(tmp_path: Path) -> None:
    """They are cut, so they do not make another speaker."""
    file = write(tmp_path, "a,a.mp4,sad, anna", "b,b.mp4,sad,anna ", "c,c.mp4,sad,anna")
    manifest = read_manifest(file, root=None)
    assert {row.speaker for row in manifest.rows} == {"anna"}
    assert not manifest.warnings


def test_a_path_with_backslashes_is_named(tmp_path: Path) -> None:
    """The message for a missing file, and the one if no file exists."""
    file = write(tmp_path, "a,clips\\a.mp4,sad,x", "b,b.mp4,sad,x")
    with pytest.raises(ManifestError, match="Write '/' between folders"):
        read_manifest(file, root=None).clips()
    (tmp_path / "b.mp4").touch()
    clip = read_manifest(file, root=None).clips()[0]
    with pytest.raises(MediaError, match="backslash, write '/' between folders"):
        clip.source.stamp()


def test_a_list_does_not_read_emotions(tmp_path: Path) -> None:
    """Prediction needs none, and a class of one's own is not an error."""
    (tmp_path / "l.csv").write_text("path;emotion\na.mp4;boredom\n")
    assert read_list(tmp_path / "l.csv", root=None).rows[0].emotion == ""
