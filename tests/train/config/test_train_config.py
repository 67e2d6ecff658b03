"""Settings out of range, and settings that contradict each other."""

import pytest

from mmder_store.errors import SettingsError
from mmder_train.config.train_config import TrainConfig
from train_runs import FINETUNE, Train

CONFIG = {
    "strategies": ("cfas",),
    "labels": "ravdess-7",
    "protocol": "speakers-5",
    "epochs": 1,
    "batch_size": 2,
    "lr": 0.01,
}
AUDIO = ("--strategy", "audio")
NO_EFFECT = "has no effect with --method linear-probe"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epochs": 0}, "--epochs 0: expected 1 or more"),
        ({"batch_size": 0}, "--batch-size 0: expected 1"),
        ({"seed": -1}, "--seed -1: expected 0"),
        ({"seed": 1, "seeds": (1, 2, 1)}, "--seed 1,2,1: expected each seed once"),
        ({"seed": 1, "seeds": (1, -2)}, "--seed 1,-2: expected 0 or more"),
        ({"seed": 0, "seeds": (1, 2)}, "seeds 1,2: expected several, the first equal"),
        ({"lr": 0.0}, "--lr 0: expected above 0"),
        ({"lr": float("nan")}, "--lr nan: expected above 0"),
        ({"weight_decay": 2.0}, "--weight-decay 2: expected 0 to 1"),
        (
            {"method": "finetune", "drop_tokens": 1.0},
            "--drop-tokens 1: expected 0 to below",
        ),
        ({"label_smoothing": -0.1}, "--label-smoothing -0.1: expected 0 to below 1"),
        (
            {"drop_tokens": 0.5},
            f"--drop-tokens: {NO_EFFECT}, which freezes the encoder",
        ),
        ({"patch_lr_scale": 1.5}, "--patch-lr-scale 1.5: expected 0 to 1"),
        ({"patch_lr_scale": 0.5}, f"--patch-lr-scale: {NO_EFFECT}"),
        ({"label_smoothing": 0.1}, f"--label-smoothing: {NO_EFFECT}"),
        ({"augment": "audio"}, f"--augment: {NO_EFFECT}"),
        (
            {"augment": "audio", "method": "finetune", "spectrogram": "mfcc"},
            "Use --spectrogram stft or --spectrogram mel",
        ),
        (
            {"spectrogram": "stft-mel-mfcc"},
            "--colormap viridis: --spectrogram stft-mel-mfcc fills .* --colormap gray",
        ),
        ({"strategies": ("cfas", "cfas")}, "expected each strategy once"),
        ({"rfas_resample": True}, "Use --method finetune"),
        ({"rfas_resample": True, "method": "finetune"}, "no rfas among cfas"),
        (
            {"class_weights": "balanced", "sampler": "balanced"},
            "--class-weights balanced: --sampler balanced corrects .* Leave one of",
        ),
    ],
)
def test_invalid_settings_are_rejected(change: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        TrainConfig(**(CONFIG | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--resume", "none"), "run folder none: no run in it"),
        (("--resume", "a", "--lr", "1"), "takes all settings from a: leave out --lr"),
        (("--patience", "3"), "--patience: needs --val speakers"),
        (("--drop-path", "0.1"), f"--drop-path: {NO_EFFECT}"),
        ((*FINETUNE, "--drop-path", "1"), "--drop-path 1: expected 0 to below 1"),
        ((*FINETUNE, "--ema-decay", "nan"), "--ema-decay nan: expected 0 to below 1"),
        ((*FINETUNE, "--layer-decay", "0"), "--layer-decay 0: expected above 0"),
        ((*FINETUNE, "--mask", "0.7"), "--mask 0.7: expected 0 to 0.5"),
        ((*FINETUNE, "--erase", "0.5"), "--erase: --strategy audio has no video"),
        ((*FINETUNE, "--views", "2"), "--views 2: --strategy audio has no video"),
        ((*FINETUNE, "--views", "3"), "--views 3: expected 1 to 2"),
        (("--head-dropout", "0.5"), f"--head-dropout: {NO_EFFECT}"),
        ((*FINETUNE, "--augment", "video"), "--strategy audio has no video frames"),
        (
            (*AUDIO, "--drop-modality", "video"),
            "--drop-modality: --strategy audio has one",
        ),
        (
            (*AUDIO, "--modality-dropout", "0.1"),
            "--modality-dropout: --strategy audio has one",
        ),
        (("--modality-dropout", "2"), "--modality-dropout 2: expected 0 to 1"),
    ],
)
def test_invalid_options_are_one_line(
    train_audio: Train, words: tuple[str, ...], text: str
) -> None:
    done = train_audio(*words)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
