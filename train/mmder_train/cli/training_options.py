"""Options of `mmder-train` that determine the numbers of a run.

Nothing heavy is imported here. A test compares the choices and the defaults with the
tables and with `TrainConfig`.
"""

from collections.abc import Callable
from typing import Any

import rich_click as click

from mmder_train.cli.option_types import (
    STRATEGIES,
    ModalityNames,
    SeedNumber,
    SeedNumbers,
    StrategyNames,
)
from mmder_train.cli.options import (
    ENCODERS,
    EVALUATION,
    MODEL,
    OPTIMIZATION,
    OUTPUT,
    REGULARIZATION,
    SPECTROGRAM_OPTIONS,
    Decorator,
    allow_missing_option,
    choice_option,
    fold_option,
    image_norm_option,
    labels_option,
    number_option,
    protocol_option,
)

FEATURE_SEED = "Seed of random initial weights and of the RFAS order."


def seed_option(text: str) -> Decorator:
    """Return the option ``--seed``."""
    return click.option(
        "--seed", type=SeedNumber(), default=0, help=text, panel=OPTIMIZATION
    )


ENCODER_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--strategy",
        "strategies",
        type=StrategyNames(),
        multiple=True,
        default=("cfas",),
        help=f"Fusion strategy: {', '.join(STRATEGIES)}; can be repeated.",
        panel=MODEL,
    ),
    click.option(
        "--encoder",
        type=click.Choice(ENCODERS),
        help="Size of VideoMAE, or MAE-DFER.  [default: the one that the weights fit, "
        "else tiny]",
        panel=MODEL,
    ),
    allow_missing_option,
    click.option(
        "--norm-eps",
        type=float,
        help="LayerNorm epsilon of the encoder.  [default: from the weights]",
        panel=MODEL,
    ),
    click.option(
        "--pool",
        type=click.Choice(("mean", "region")),
        help="Tokens that are averaged.  [default: from the weights]",
        panel=MODEL,
    ),
    click.option(
        "--pos-embed/--no-pos-embed",
        default=None,
        help="Add fixed sine-cosine position embeddings.  [default: from the weights]",
        panel=MODEL,
    ),
    image_norm_option,
    *SPECTROGRAM_OPTIONS,
)
"""Options of the input, the encoder and its weights."""

TRAINING_OPTIONS: tuple[Decorator, ...] = (
    labels_option,
    protocol_option,
    fold_option("Fold to train and test."),
    *ENCODER_OPTIONS,
    choice_option(
        "--method",
        ("linear-probe", "finetune"),
        "Train a linear head on the frozen encoder (the paper), or train everything.",
        OPTIMIZATION,
    ),
    click.option(
        "--epochs",
        type=int,
        help="Number of training epochs.  [default: linear-probe 100, finetune 30]",
        panel=OPTIMIZATION,
    ),
    click.option(
        "--batch-size",
        type=int,
        help="Number of clips per optimizer step, over all processes.  "
        "[default: linear-probe 16, finetune 8]",
        panel=OPTIMIZATION,
    ),
    number_option(
        "--grad-accum-steps",
        1,
        "Number of micro-batches per optimizer step; more need less memory.",
        OPTIMIZATION,
    ),
    click.option(
        "--lr",
        type=float,
        help="Peak learning rate of AdamW, used unchanged. Defaults and recipes for "
        "pretrained weights are scaled with --batch-size.  "
        "[default: linear-probe 1e-2, finetune 1e-3, or 1e-3 per 256 clips with "
        "--weights]",
        panel=OPTIMIZATION,
    ),
    number_option("--weight-decay", 0.05, "Weight decay of AdamW.", OPTIMIZATION),
    number_option(
        "--warmup", 0.1, "Fraction of the steps with linear warm-up.", OPTIMIZATION
    ),
    number_option(
        "--layer-decay",
        1.0,
        "Learning rate of each layer relative to the layer above; 0.75 for finetune "
        "with --weights.",
        OPTIMIZATION,
    ),
    number_option(
        "--patch-lr-scale",
        1.0,
        "Learning rate of the patch embedding relative to the rest.",
        OPTIMIZATION,
    ),
    number_option(
        "--clip-grad", 0.0, "Maximum gradient norm; 0 disables clipping.", OPTIMIZATION
    ),
    number_option(
        "--ema-decay",
        0.0,
        "EMA decay; the EMA weights are evaluated. 0 disables it.",
        OPTIMIZATION,
    ),
    click.option(
        "--seed",
        type=SeedNumbers(),
        default=0,
        help="Seed of initial weights, batch order, augmentation and the RFAS order; "
        "with several, every fold is trained with each.",
        panel=OPTIMIZATION,
    ),
    choice_option(
        "--class-weights",
        ("none", "balanced"),
        "Weights of the classes in the loss; balanced is inversely proportional to "
        "their number of training clips.",
        OPTIMIZATION,
    ),
    choice_option(
        "--sampler",
        ("shuffle", "balanced"),
        "Clips of an epoch: each once, or drawn so that all classes are equally "
        "likely.",
        OPTIMIZATION,
    ),
    choice_option(
        "--augment",
        ("none", "audio", "video", "all"),
        "Random loudness and pitch (audio); flip, crop and color of faces (video).",
        REGULARIZATION,
    ),
    number_option(
        "--mask",
        0.0,
        "Fraction of a spectrogram that is masked, in frequency and in time.",
        REGULARIZATION,
    ),
    number_option("--mixup", 0.0, "Alpha of Mixup; VideoMAE uses 0.8.", REGULARIZATION),
    number_option("--cutmix", 0.0, "Alpha of CutMix; VideoMAE uses 1.", REGULARIZATION),
    number_option(
        "--modality-dropout",
        0.0,
        "Probability that a training clip lacks its video or its audio.",
        REGULARIZATION,
    ),
    number_option(
        "--erase",
        0.0,
        "Probability that a box of a clip's faces is erased; VideoMAE uses 0.25.",
        REGULARIZATION,
    ),
    number_option(
        "--label-smoothing",
        0.0,
        "Label smoothing; 0.1 for finetune with --weights.",
        REGULARIZATION,
    ),
    number_option(
        "--head-dropout",
        0.0,
        "Dropout before the head; VideoMAE uses 0.5 for small data.",
        REGULARIZATION,
    ),
    number_option(
        "--head-init-scale",
        1.0,
        "Factor on the initial weights of the head; 0.001 for finetune with --weights.",
        OPTIMIZATION,
    ),
    number_option(
        "--drop-path",
        0.0,
        "Stochastic-depth rate of the last block.",
        REGULARIZATION,
    ),
    number_option(
        "--drop-tokens",
        0.0,
        "Fraction of the tokens that each training step drops.",
        REGULARIZATION,
    ),
    click.option(
        "--rfas-resample",
        is_flag=True,
        help="Draw the RFAS frame order again in each epoch.",
        panel=REGULARIZATION,
    ),
    choice_option(
        "--val",
        ("none", "speakers"),
        "Epoch that is tested: the last one, or the best one on held-out speakers.",
        EVALUATION,
    ),
    number_option(
        "--patience",
        0,
        "Number of epochs without gain in --val after which a fold stops; 0 disables "
        "early stopping.",
        EVALUATION,
    ),
    click.option(
        "--drop-modality",
        type=ModalityNames(),
        default=(),
        help="Also test without audio, without video, or both: audio,video.  "
        "[default: none]",
        panel=EVALUATION,
    ),
    number_option(
        "--views",
        1,
        "Views of each clip averaged by --method finetune: 2 adds the mirrored faces.",
        EVALUATION,
    ),
    click.option(
        "--report-best-test-epoch",
        is_flag=True,
        help="Also report the best epoch on the test side, marked as not valid.",
        panel=EVALUATION,
    ),
    click.option(
        "--allow-seen",
        is_flag=True,
        help="Test on clips that the weights have seen in pre-training; the result is "
        "marked as not valid.",
        panel=EVALUATION,
    ),
    click.option(
        "--compile/--no-compile",
        default=False,
        help="Compile the encoder's blocks with torch.compile; needs a C++ compiler "
        "on a CPU, a C compiler and Python's header for a GPU.",
        panel=OUTPUT,
    ),
    click.option(
        "--checkpoint-activations",
        is_flag=True,
        help="Recompute activations in the backward pass of --method finetune: less "
        "memory, about a third more time.",
        panel=OUTPUT,
    ),
)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add every option that determines the numbers of a run."""
    return _add(TRAINING_OPTIONS, command)


def encoder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add every option that determines the features of a frozen encoder."""
    return _add((*ENCODER_OPTIONS, seed_option(FEATURE_SEED)), command)


def _add(
    options: tuple[Decorator, ...], command: Callable[..., Any]
) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command
