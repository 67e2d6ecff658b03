"""Options without an effect are refused, and no option is lost."""

from pathlib import Path

import click
import pytest

from mmder_prep.cli.main import add_corpora
from mmder_prep.cli.main import cli as prep
from mmder_train.cli.main import cli as train
from run_cli import invoke

add_corpora()
GROUPS = {"mmder_prep": prep, "mmder_train": train}


def words(option: click.Option) -> list[str]:
    """Return an option with a value that it accepts."""
    if option.is_flag:
        return [option.opts[0]]
    if isinstance(option.type, click.Choice):
        return [option.opts[0], str(option.type.choices[0])]
    numeric = isinstance(
        option.type, (click.types.IntParamType, click.types.FloatParamType)
    )
    return [option.opts[0], "1" if numeric else "x"]


def options_of(command: click.Command) -> list[click.Option]:
    """Return the options of a command that take effect after parsing."""
    return [
        parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and parameter.name not in ("help", "version", "verbose")
    ]


@pytest.mark.parametrize("program", GROUPS)
def test_no_option_before_a_command_is_lost(program: str) -> None:
    """Options of the group and of every command are tried before every command."""
    group = GROUPS[program]
    options = {o.opts[0]: o for o in options_of(group)}
    for command in group.commands.values():
        options |= {o.opts[0]: o for o in options_of(command)}
    assert len(options) > 10
    for option in options.values():
        for name in group.commands:
            done = invoke(program, *words(option), name, "x")
            assert done.exit_code == 2, (option.opts, name)
            assert option.opts[0] in done.stderr, (option.opts, name)


CHECK = ("ravdess", "--check", "--root", "nowhere")
IGNORED = [
    *(
        ((*CHECK, *option), "--check makes no store")
        for option in (
            ("--out", "x"),
            ("--step", "3"),
            ("--no-face-crop",),
            ("--overwrite",),
            ("--workers", "1"),
            ("--device", "cpu"),
            ("--max-failed", "1"),
            ("--shard-clips", "1"),
            ("--scheduler", "x"),
        )
    ),
    (("--workers", "1", "--scheduler", "x"), "the workers of the cluster"),
    (("--modality", "audio", "--no-face-crop"), "uses no video"),
    (("--modality", "audio", "--device", "cpu"), "uses no video"),
    (("--no-face-crop", "--device", "cpu"), "detects no faces"),
]


@pytest.mark.parametrize(("given", "reason"), IGNORED)
def test_option_without_effect_is_refused(
    given: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    """In corpus commands and in `manifest`; nothing is written."""
    out = ("--out", str(tmp_path / "store"))
    if given[0] == "ravdess":
        commands = [given]
    else:
        commands = [
            ("ravdess", "--root", "nowhere", *out, *given),
            ("manifest", "nowhere.csv", *out, *given),
        ]
    for command in commands:
        done = invoke("mmder_prep", *command)
        assert done.exit_code == 2, done.stderr
        assert "would be ignored" in done.stderr
        assert reason in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_defaults_are_not_refused() -> None:
    """A default is not on the command line."""
    done = invoke("mmder_prep", *CHECK)
    assert done.exit_code == 1
    assert "nowhere" in done.stderr
