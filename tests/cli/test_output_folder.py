"""Folders that no command creates or writes to."""

from pathlib import Path

import pytest

from mmder_cli.output_folder import check_output_folder
from mmder_store.errors import SettingsError
from run_cli import invoke


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("/", "is the root of the file system"),
        ("/a/..", "is the root of the file system"),
        ("/mmder-new-folder", "would be a new folder in the root"),
        ("/../mmder-new-folder/", "would be a new folder in the root"),
    ],
)
def test_root_and_new_folders_in_it_are_refused(out: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=rf"--out {out.rstrip('/')}.*{problem}"):
        check_output_folder(Path(out))
    assert not Path("/mmder-new-folder").exists()


def test_home_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SettingsError, match="is your home folder"):
        check_output_folder(tmp_path)
    check_output_folder(tmp_path / "store")


def test_existing_folders_in_the_root_are_accepted() -> None:
    """A container mounts an empty folder there."""
    top = Path(Path(__file__).parts[0]) / Path(__file__).resolve().parts[1]
    assert top.is_dir()
    check_output_folder(top)
    check_output_folder(Path("/mmder-new-folder/store"))


@pytest.mark.parametrize(
    "words",
    [
        ("mmder_prep", "sample"),
        ("mmder_prep", "manifest", "{csv}"),
        ("mmder_prep", "ravdess", "--root", "{root}"),
        ("mmder_train", "--store", "{root}"),
    ],
)
def test_commands_refuse_in_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    csv = tmp_path / "m.csv"
    csv.write_text("clip_id,path,emotion,speaker\na,a.mp4,sad,x\n")
    (tmp_path / "03-01-03-01-01-01-05.mp4").touch()
    (tmp_path / "01-01-03-01-01-01-05.mp4").touch()
    program, *rest = (word.format(csv=csv, root=tmp_path) for word in words)
    done = invoke(program, *rest, "--out", "/mmder-new-folder")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "run 'mkdir /mmder-new-folder' first" in done.stderr
    assert not Path("/mmder-new-folder").exists()
