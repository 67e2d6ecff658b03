"""Recipes and the defaults of the training methods."""

from pathlib import Path

import pytest

from mmder_store.errors import SettingsError
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
    settings = resolve_settings({}, recipe, pretrained=True)
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
    settings = resolve_settings(
        {"lr": 1e-4, "drop_path": 0.0}, "videomae", pretrained=True
    )
    assert settings["lr"] == 1e-4
    assert settings["drop_path"] == 0
    assert settings["layer_decay"] == 0.75
    assert settings["recipe"] == "videomae"
    assert "base_lr" not in settings


@pytest.mark.parametrize("batch_size", [4, 16, 256])
def test_learning_rates_are_scaled_with_the_batch_size(batch_size: int) -> None:
    """VideoMAE: ``args.lr * total_batch_size / 256``."""
    given = {"batch_size": batch_size, "method": "finetune"}
    base_lrs = {"videomae": 1e-3, "videomae-ucf101": 5e-4, None: 1e-3}
    for recipe, base_lr in base_lrs.items():
        settings = resolve_settings(given, recipe, pretrained=True)
        assert settings["lr"] == pytest.approx(base_lr * batch_size / 256)
        assert settings["base_lr"] == base_lr
        named = resolve_settings(given | {"lr": 0.5}, recipe, pretrained=True)
        assert named["lr"] == 0.5


def test_defaults_of_fine_tuning_depend_on_the_weights() -> None:
    random = resolve_settings({"method": "finetune"}, None)
    assert random["lr"] == 1e-3
    assert not {"layer_decay", "head_init_scale", "base_lr"} & set(random)
    pretrained = resolve_settings({"method": "finetune"}, None, pretrained=True)
    assert pretrained["lr"] == pytest.approx(3.125e-5)
    expected = {"layer_decay": 0.75, "label_smoothing": 0.1, "head_init_scale": 0.001}
    assert expected.items() <= pretrained.items()


@pytest.mark.parametrize("recipe", ["paper", "release", "videomae", "videomae-ucf101"])
def test_a_recipe_for_pretrained_weights_does_not_start_at_random_unasked(
    train_audio: Train, recipe: str
) -> None:
    done = train_audio("--recipe", recipe)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert f"--recipe {recipe}: needs pretrained weights" in done.stderr
    assert "--weights hf:MCG-NJU/videomae-large" in done.stderr
    assert "--encoder tiny" in done.stderr
    assert not Path("runs").exists()
    settings = resolve_settings({"encoder": "tiny"}, recipe)
    assert settings["encoder"] == "tiny"


def test_the_recipe_of_the_paper_asks_for_its_encoder() -> None:
    assert resolve_settings({}, "paper", pretrained=True)["encoder"] == "large"


def test_a_recipe_of_another_method_is_refused() -> None:
    with pytest.raises(SettingsError, match="--recipe paper is for linear-probe"):
        resolve_settings({"method": "finetune"}, "paper", pretrained=True)


def test_every_recipe_is_valid(train_audio: Train) -> None:
    rest = {"strategies": ("cfas",), "labels": "", "protocol": ""}
    for name, recipe in RECIPES.items():
        assert recipe.source
        config = TrainConfig(**(rest | resolve_settings({}, name, pretrained=True)))
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
