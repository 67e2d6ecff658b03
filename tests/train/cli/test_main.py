"""Options of `mmder-train` mean the same everywhere, and none is dropped silently."""

import pytest
from click.testing import CliRunner, Result

from mmder_train.cli.main import cli
from mmder_train.cli.training_options import TRAINING_OPTIONS


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--store", "nowhere", "--lr", "3", "compare", "RUN"), "--store, --lr"),
        (("--save-weights", "baseline", "--store", "s"), "--save-weights"),
        (("--device", "cpu", "predict", "clip.mp4", "--run", "r"), "--device"),
        (("--no-pos-embed", "weights", "w.pth"), "--pos-embed"),
        (("--strategy", "all", "compare", "RUN"), "--strategy"),
    ],
)
def test_options_before_a_subcommand_are_refused(
    words: tuple[str, ...], named: str
) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert f"{named} before" in done.stderr
    assert "would be ignored" in done.stderr


def test_verbose_is_accepted_before_and_after_a_subcommand() -> None:
    plain = run("compare", "nowhere")
    assert plain.exit_code == 1
    assert plain.stderr.startswith("mmder-train: error: run nowhere: no such folder")
    assert plain.stderr.count("\n") == 1
    for words in (("-v", "compare", "nowhere"), ("compare", "nowhere", "--verbose")):
        done = run(*words)
        assert type(done.exception).__name__ == "SettingsError"


def test_training_needs_a_store() -> None:
    done = run("--strategy", "cfas")
    assert done.exit_code == 2
    assert "Missing option '--store'" in done.stderr


def test_usage_errors_are_lines_without_a_frame() -> None:
    done = run("--lr", "fast")
    assert done.exit_code == 2
    assert "Error: Invalid value for '--lr': 'fast' is not a valid float." in (
        done.stderr.splitlines()
    )


@pytest.mark.parametrize(
    "command",
    [None, "baseline", "compare", "env", "features", "predict", "score", "weights"],
)
def test_help_is_in_panels(command: str | None) -> None:
    done = run(*([command] if command else []), "--help")
    assert done.exit_code == 0
    assert "Output and machine" in done.output
    if command is None:
        for panel in ("Data", "Model", "Spectrograms", "Optimization", "Evaluation"):
            assert f"─ {panel} " in done.output


def test_every_training_option_is_in_a_panel() -> None:
    panels = {getattr(option, "panel", None) for option in cli.params}
    assert len(TRAINING_OPTIONS) < len(cli.params)
    assert None not in {
        getattr(o, "panel", None) for o in cli.params if o.name not in ("version",)
    }
    assert len(panels) > 6


@pytest.mark.parametrize("command", ["baseline", "predict"])
def test_a_fold_is_a_number_or_all(command: str) -> None:
    words = {"baseline": ("--store", "s"), "predict": ("c.mp4", "--run", "r")}[command]
    done = run(command, *words, "--fold", "0")
    assert done.exit_code == 2
    assert "expected a number from 1, or all" in done.stderr
