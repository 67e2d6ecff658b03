"""The commands of `mmder-prep` and how they report errors."""

import pytest
from click.testing import CliRunner, Result

from mmder_prep.cli.main import add_corpora, cli
from mmder_prep.cli.options import step_frames
from mmder_store.errors import SettingsError

if "ravdess" not in cli.commands:
    add_corpora()


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def test_help_groups_the_commands() -> None:
    text = run("--help").output
    order = [text.index(f"─ {p} ") for p in ("Corpora", "Look at a store", "Other")]
    assert order == sorted(order)
    assert all(command in text for command in cli.commands)


@pytest.mark.parametrize("command", ["inspect", "report", "audit", "verify"])
def test_a_missing_store_is_one_line(command: str) -> None:
    done = run(command, "nowhere")
    assert done.exit_code == 1
    assert done.stderr.startswith("mmder-prep: error: store nowhere: no such folder")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", [("-v", "inspect", "nowhere"), ("inspect", "nowhere", "-v")]
)
def test_verbose_is_accepted_before_and_after_a_command(
    words: tuple[str, ...],
) -> None:
    assert type(run(*words).exception).__name__ == "StoreError"


def test_a_corpus_needs_an_output() -> None:
    done = run("ravdess", "--root", ".")
    assert done.exit_code == 2
    assert "Missing option '--out'" in done.stderr


def test_an_unknown_corpus_is_refused() -> None:
    done = run("published", "nothing")
    assert done.exit_code == 2
    assert "'nothing' is not one of ravdess, cremad" in done.stderr


def test_steps_are_numbers_or_auto() -> None:
    assert step_frames("auto") is None
    assert step_frames("6") == 6.0
    with pytest.raises(SettingsError, match="expected a number of frames"):
        step_frames("six")
