"""Recipes and the defaults of the training methods."""

import pytest

from mmder_train.config.recipes import METHODS, RECIPES, resolve_settings
from mmder_train.config.train_config import TrainConfig
from train_runs import Train, read_results


def test_the_defaults_are_the_numbers_of_the_paper() -> None:
    assert METHODS["linear-probe"]["lr"] == 1e-2
    config = TrainConfig(
        strategies=("cfas",),
        labels="ravdess-7",
        protocol="speakers-5",
        epochs=1,
        batch_size=2,
        lr=0.01,
    )
    assert config.weight_decay == 0.05


@pytest.mark.parametrize("recipe", ["paper", "release"])
def test_recipes_of_the_paper_draw_the_spectrogram_of_its_figures(recipe: str) -> None:
    settings = resolve_settings({}, recipe)
    assert (
        settings["spectrogram"],
        settings["colormap"],
        settings["spectrogram_norm"],
    ) == ("mfcc", "viridis", "window")


def test_named_settings_take_precedence_over_a_recipe() -> None:
    assert resolve_settings({}, None) == {
        "method": "linear-probe",
        "epochs": 100,
        "batch_size": 16,
        "lr": 1e-2,
        "recipe": "none",
    }
    settings = resolve_settings({"lr": 1e-4, "drop_path": 0.0}, "videomae")
    assert settings["lr"] == 1e-4
    assert settings["drop_path"] == 0
    assert settings["layer_decay"] == 0.75
    assert settings["recipe"] == "videomae"


def test_every_recipe_is_valid(train_audio: Train) -> None:
    rest = {"strategies": ("cfas",), "labels": "", "protocol": ""}
    for name in RECIPES:
        config = TrainConfig(**(rest | resolve_settings({}, name)))
        assert TrainConfig.from_json(config.to_json()) == config
    few = ("--strategy", "audio", "--fold", "1", "--epochs", "1")
    done = train_audio(*few, "--recipe", "scratch", "--batch-size", "4", "--out", "a")
    assert done.exit_code == 0, done.output
    saved = read_results("a")["config"]
    assert (saved["recipe"], saved["epochs"], saved["spectrogram"]) == (
        "scratch",
        1,
        "mel",
    )
