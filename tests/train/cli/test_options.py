"""Options of `mmder-train`: usage errors, defaults and fast help."""

import subprocess
import sys
from dataclasses import fields

import pytest

from mmder_train.cli import option_types, options
from mmder_train.cli.main import cli
from mmder_train.config.recipes import RECIPES
from mmder_train.config.train_config import TrainConfig
from train_runs import invoke


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Missing option '--store'"),
        (["--strategy", "cfas,none"], "'none' is not one of cfas, sfas"),
        (["--fold", "0"], "expected a number from 1, or all"),
        (
            ["--fold", "1,2"],
            "A run has one fold or all: run the command once with each of --fold 1, "
            "--fold 2.",
        ),
        (["--fold", "x,y"], "'x,y': expected a number from 1, or all.\n"),
        (
            ["pretrain", "--seed", "0,1,2"],
            "expected one integer. 'mmder-train compare' averages runs over seeds: run "
            "the command once with each of --seed 0, --seed 1, --seed 2.",
        ),
        (["--seed", "1.5"], "'1.5': expected integers separated by commas.\n"),
        (["--seed", "1,"], "'1,': expected integers separated by commas.\n"),
        (["--drop-modality", "sound"], "'sound' is not one of audio, video, none."),
        (["--encoder", "titan"], "'titan' is not one of 'tiny'"),
        (["--store", "x", "guess"], "No such command 'guess'"),
    ],
)
def test_usage_errors_are_those_of_click(words: list[str], text: str) -> None:
    done = invoke(*words)
    assert done.exit_code == 2
    assert text in done.stderr


def test_strategies_are_read_in_any_case() -> None:
    convert = option_types.StrategyNames().convert
    assert convert("CFAS, Rfas", None, None) == ("cfas", "rfas")
    assert convert("ALL", None, None) == option_types.STRATEGIES


def test_help_and_version_import_no_slow_library() -> None:
    code = (
        "import sys; from click.testing import CliRunner; import mmder_train.cli as c;"
        "call = lambda word: CliRunner().invoke(c.cli, [word]).exit_code;"
        "r = [call('--help'), call('--version')];"
        "print(r, {'torch', 'zarr', 'numpy', 'timm'} & set(sys.modules))"
    )
    path = ":".join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": path},
    )
    assert done.stdout.split() == ["[0,", "0]", "set()"]


def test_options_have_the_defaults_of_the_settings() -> None:
    assert tuple(RECIPES) == options.RECIPES
    defaults = {f.name: f.default for f in fields(TrainConfig)}
    for parameter in cli.params:
        name = str(parameter.name)
        if name in defaults and name not in ("strategies", "encoder", "device"):
            shown = parameter.default
            if isinstance(shown, int | float | str) and shown != "all":
                assert shown == defaults[name], name
