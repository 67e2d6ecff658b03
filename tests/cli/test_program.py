"""Every option and argument that is a path refuses an address in one line."""

from pathlib import Path

import pytest
import rich_click as click

from mmder_cli.program import LocalPath
from run_cli import invoke

ADDRESS = "s3://bucket/x"


def commands(program: str) -> list[click.Command]:
    from importlib import import_module

    module = import_module(f"{program}.cli.main")
    if program == "mmder_prep":
        module.add_corpora()
    return [module.cli, *module.cli.commands.values()]


@pytest.mark.parametrize("program", ["mmder_prep", "mmder_train"])
def test_every_path_of_every_command_is_checked(program: str) -> None:
    """No parameter has the plain type, which accepts addresses."""
    types = [p.type for c in commands(program) for p in c.params]
    assert not [t for t in types if isinstance(t, click.Path) and type(t) is click.Path]
    assert sum(isinstance(t, LocalPath) for t in types) > 5


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("mmder_prep", ["ravdess", "--root", ".", "--out", ADDRESS]),
        ("mmder_prep", ["ravdess", "--root", ADDRESS, "--out", "s"]),
        ("mmder_prep", ["manifest", ADDRESS, "--out", "s"]),
        ("mmder_prep", ["inspect", ADDRESS]),
        ("mmder_prep", ["sample", "--out", ADDRESS]),
        ("mmder_train", ["--store", ADDRESS]),
        ("mmder_train", ["--store", "s", "--out", ADDRESS]),
        ("mmder_train", ["predict", ADDRESS, "--run", "r"]),
        ("mmder_train", ["predict", "c.mp4", "--run", ADDRESS]),
        ("mmder_train", ["compare", ADDRESS]),
        ("mmder_train", ["weights", ADDRESS]),
    ],
)
def test_addresses_are_refused_in_one_line(
    program: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(program, *words)
    assert done.exit_code == 1, done.output
    assert done.stderr.count("\n") == 1
    assert f"{ADDRESS!r}: an address, expected a path of this machine" in done.stderr
    assert not list(tmp_path.iterdir())


def test_addresses_in_a_manifest_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a clip would be stored as failed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text(
        f"clip_id,path,emotion,speaker,sound\na,{ADDRESS},sad,x,\nb,b.mp4,sad,x,{ADDRESS}\n"
    )
    done = invoke("mmder_prep", "manifest", "m.csv", "--out", "s")
    assert done.exit_code == 1
    assert f"line 2: path {ADDRESS!r}" in done.stderr
    assert f"line 3: sound {ADDRESS!r}" in done.stderr
    assert not (tmp_path / "s").exists()
