"""Every command that succeeds ends with the next command to type, and it exists."""

import shlex
from pathlib import Path

import click
import pytest

from fake_store import make_store
from mmder_prep.cli.main import add_corpora
from mmder_prep.cli.main import cli as prep
from mmder_prep.cli.next_command import show_next
from mmder_train.cli.main import cli as train
from run_cli import invoke, run_here

add_corpora()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("next") / "my store"
    make_store(path, clips=2, modality="audio")
    return path


def parse(line: str) -> tuple[click.Command, list[str]]:
    """Return the command that a line names, and its other words."""
    mark, program, *words = shlex.split(line)
    assert mark == "next:"
    command: click.Command = {"mmder-prep": prep, "mmder-train": train}[program]
    if isinstance(command, click.Group) and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    return command, words


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("inspect", "{store}"), "report"),
        (("report", "{store}"), "audit"),
        (("audit", "{store}"), "mmder-train"),
        (("published", "ravdess"), "ravdess"),
        (("published", "mead"), "mead"),
    ],
)
def test_next_command_exists(
    words: tuple[str, ...], name: str, store: Path, tmp_path: Path
) -> None:
    """It is one line on standard error, quoted, with options that exist."""
    out = ["--out", tmp_path / "page.html"] if words[0] == "report" else []
    done = run_here("mmder_prep", *(w.format(store=store) for w in words), *out)
    line = done.stderr.splitlines()[-1]
    command, rest = parse(line)
    assert command.name == name
    if "{store}" in words:
        assert str(store) in rest
    options = {o for p in command.params for o in p.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def test_check_of_a_whole_copy_names_the_same_selection(tmp_path: Path) -> None:
    """The command is quoted and repeats root and modality."""
    root = tmp_path / "my corpus"
    run_here("mmder_prep", "published", "ravdess")
    for actor in range(1, 25):
        for emotion in range(1, 9):
            for level in (1, 2)[: 1 if emotion == 1 else 2]:
                for take in ("01-01", "01-02", "02-01", "02-02"):
                    name = f"03-01-{emotion:02d}-{level:02d}-{take}-{actor:02d}.wav"
                    file = root / f"Actor_{actor:02d}" / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(b"RIFF" * 100)
    words = ("ravdess", "--root", root, "--modality", "audio", "--check")
    done = run_here("mmder_prep", *words)
    command, rest = parse(done.stderr.splitlines()[-1])
    assert command.name == "ravdess"
    selected = ["--root", str(root), "--modality", "audio"]
    assert rest == [*selected, "--out", "STORE"]


def test_commands_that_fail_name_none(tmp_path: Path) -> None:
    for words in (("inspect", tmp_path), ("ravdess", "--check", "--root", tmp_path)):
        assert "next:" not in invoke("mmder_prep", *words).stderr


def test_words_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    show_next("mmder-prep", "report", Path("a b; c"))
    assert capsys.readouterr().err == "next: mmder-prep report 'a b; c'\n"
