"""What the documentation says is what the code does."""

import re
import shlex

import click
import pytest

from mmder_prep.cli.main import add_corpora
from mmder_prep.cli.main import cli as prep
from mmder_train.cli.main import cli as train
from readme import README, ROOT, made

add_corpora()
PROGRAMS = {
    "mmder-prep": prep,
    "mmder-train": train,
}
TEXT = README.read_text()
BLOCKS = re.findall(
    r"^(?:    |\$ )((?:mmder-prep|mmder-train)\b.*)$", TEXT, re.MULTILINE
)


def test_tables_and_tree_are_those_of_the_code() -> None:
    """`make readme` would change nothing."""
    assert made(TEXT) == TEXT


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    """And every option of every command says what it does."""
    for program, group in PROGRAMS.items():
        assert group.help
        for name, command in group.commands.items():
            assert f"{program} {name}" in TEXT
            assert command.help
            for option in command.params:
                assert isinstance(option, click.Argument) or option.help


@pytest.mark.parametrize("line", sorted(set(BLOCKS)))
def test_commands_of_the_readme_are_ones(line: str) -> None:
    """Every option they use exists."""
    words = shlex.split(line, comments=True)
    command: click.Command = PROGRAMS[words[0]]
    if isinstance(command, click.Group) and words[1:2] and words[1] in command.commands:
        command = command.commands[words[1]]
    known = {name for p in command.params for name in p.opts} | {"--help", "--version"}
    used = {w for w in words[1:] if w.startswith("--")}
    assert used <= known


def test_no_host_and_no_machine_in_the_pins() -> None:
    """requirements.lock pins versions and names no place."""
    lock = (ROOT / "requirements.lock").read_text()
    assert "//" not in lock
    assert all("==" in line for line in lock.splitlines() if line.strip())
