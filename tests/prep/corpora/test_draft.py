"""A draft lists every media file, and is a valid manifest when it is filled in."""

import os
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from fake_corpora import lay
from mmder_prep.cli.main import add_corpora, cli
from mmder_prep.corpora.draft import write_draft
from mmder_prep.corpora.manifest_file import read_manifest
from mmder_store.errors import ManifestError

if "list" not in cli.commands:
    add_corpora()


def fill(file: Path) -> None:
    """Fill in the empty columns, as a user would."""
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(",,\n", ",sad,anna\n"), encoding="utf-8")


def test_a_filled_in_draft_lists_every_media_file(tmp_path: Path) -> None:
    """Names with commas and quotes are read back, and archives are searched."""
    names = ("b/one.mp4", 'a "x", y.MOV', "one.mp4", "one.wav", "\u00fc.mkv")
    lay(tmp_path / "clips", *names, "notes.txt", ".hidden.mp4")
    with zipfile.ZipFile(tmp_path / "clips" / "z.zip", "w") as archive:
        archive.writestr("in/two.mp4", b"x")
    draft = write_draft(tmp_path / "clips", tmp_path / "m.csv")
    assert draft.clips == 6
    assert draft.warnings == ("1 files are not media files and are not listed",)
    assert draft.next_command == f"mmder-prep manifest {tmp_path}/m.csv --out STORE"
    head, first, *_ = (tmp_path / "m.csv").read_text(encoding="utf-8").split("\n")
    assert head == "clip_id,path,emotion,speaker"
    assert first == '"a ""x"", y","clips/a ""x"", y.MOV",,'
    with pytest.raises(ManifestError, match="speaker ''"):
        read_manifest(tmp_path / "m.csv", root=None)
    fill(tmp_path / "m.csv")
    manifest = read_manifest(tmp_path / "m.csv", root=None)
    found = {clip.clip_id: clip.source for clip in manifest.clips()}
    assert sorted(found) == [
        *('a "x", y', "b/one", "one.mp4", "one.wav", "z.zip/in/two", "\u00fc"),
    ]
    assert {source.flaw() for source in found.values()} == {""}


def test_paths_are_relative_to_the_media_if_the_draft_is_elsewhere(
    tmp_path: Path,
) -> None:
    """The next command has --root then. Spaces are quoted for a shell."""
    media = lay(tmp_path / "my clips", "one.mp4")
    out = tmp_path / "lists" / "m.csv"
    draft = write_draft(media, out)
    assert draft.next_command == (
        f"mmder-prep manifest {out} --root '{media}' --out STORE"
    )
    fill(out)
    (clip,) = read_manifest(out, root=media).clips()
    assert clip.source.path == media / "one.mp4"
    inside = write_draft(media, media / "m.csv")
    assert "--root" not in inside.next_command


def test_names_that_a_manifest_cannot_contain_are_reported(tmp_path: Path) -> None:
    lay(tmp_path, "a.mp4", " b.mp4", "c\n.mp4")
    (tmp_path / os.fsdecode(b"\xff.mp4")).touch()
    draft = write_draft(tmp_path, tmp_path / "m.csv")
    assert draft.clips == 1
    (warning,) = draft.warnings
    assert warning.startswith("3 files have a name that a manifest cannot contain")


def test_a_draft_never_replaces_a_file(tmp_path: Path) -> None:
    """It may be filled in. A folder without media has one clear line."""
    lay(tmp_path, "a.mp4", "m.csv")
    with pytest.raises(ManifestError, match=r"m\.csv: exists and may be filled in"):
        write_draft(tmp_path, tmp_path / "m.csv")
    lay(tmp_path / "empty", "x.txt")
    with pytest.raises(ManifestError, match="no media file in it; expected files with"):
        write_draft(tmp_path / "empty", tmp_path / "n.csv")
    with pytest.raises(ManifestError, match="does not exist"):
        write_draft(tmp_path / "none", tmp_path / "n.csv")


def test_the_command_prints_the_next_one(tmp_path: Path) -> None:
    lay(tmp_path, "a.mp4")
    words = ["list", str(tmp_path), "--out", str(tmp_path / "m.csv")]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert f"1 clips in {tmp_path}/m.csv. Fill in the columns" in done.stderr
    again = CliRunner().invoke(cli, words)
    assert again.exit_code == 1
    assert again.stderr.startswith("mmder-prep: error: manifest ")


def test_problems_of_a_manifest_have_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("clip_id;path;emotion;speaker\na;;x;\n")
    words = ["manifest", str(tmp_path / "m.csv"), "--out", str(tmp_path / "s")]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    lines = done.stderr.strip().split("\n")
    assert lines[0] == f"mmder-prep: error: manifest {tmp_path}/m.csv: 3 problems"
    assert len(lines) == 5
    assert all(line.startswith("  ") for line in lines[1:])
