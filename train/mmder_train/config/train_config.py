"""Settings that determine the numbers of a run, saved with its results.

The number of reader threads, the output folder and the verbosity are not part of
them: two runs with equal settings over equal stores have equal results.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from mmder_store.errors import SettingsError

FINETUNE_ONLY = (
    "grad_accum_steps",
    "augment",
    "base_lr",
    "checkpoint_activations",
    "clip_grad",
    "cutmix",
    "drop_path",
    "drop_tokens",
    "ema_decay",
    "erase",
    "head_dropout",
    "head_init_scale",
    "label_smoothing",
    "layer_decay",
    "mask",
    "mixup",
    "patch_lr_scale",
    "rfas_resample",
    "views",
    "warmup",
)
"""Settings without effect on a linear probe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Accepted values of a setting."""

    low: float
    high: float = math.inf
    above: bool = False
    """True if `low` itself is excluded."""
    below: bool = False
    """True if `high` itself is excluded."""

    def contains(self, value: float) -> bool:
        """Return whether the value is in range. NaN never is."""
        over = value > self.low if self.above else value >= self.low
        return over and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        """Return the range in words, for messages."""
        if self.high == math.inf:
            return f"{self.low:g} or more"
        if self.above:
            return f"above {self.low:g} and at most {self.high:g}"
        return f"{self.low:g} to {'below ' if self.below else ''}{self.high:g}"


RANGES = {
    "epochs": Range(low=1),
    "batch_size": Range(low=1),
    "seed": Range(low=0),
    "grad_accum_steps": Range(low=1),
    "patience": Range(low=0),
    "lr": Range(low=0, high=1, above=True),
    "norm_eps": Range(low=0, high=1e-2, above=True),
    "weight_decay": Range(low=0, high=1),
    "warmup": Range(low=0, high=1),
    "layer_decay": Range(low=0, high=1, above=True),
    "patch_lr_scale": Range(low=0, high=1),
    "drop_path": Range(low=0, high=1, below=True),
    "drop_tokens": Range(low=0, high=1, below=True),
    "erase": Range(low=0, high=1),
    "head_dropout": Range(low=0, high=1, below=True),
    "head_init_scale": Range(low=0, high=1, above=True),
    "views": Range(low=1, high=2),
    "label_smoothing": Range(low=0, high=1, below=True),
    "mask": Range(low=0, high=0.5),
    "mixup": Range(low=0, high=10),
    "modality_dropout": Range(low=0, high=1),
    "cutmix": Range(low=0, high=10),
    "clip_grad": Range(low=0),
    "ema_decay": Range(low=0, high=1, below=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Settings of a run."""

    recipe: str = "none"
    """Preset of the settings that the user does not name; see `recipes.RECIPES`."""
    strategies: tuple[str, ...]
    """Fusion strategies. Each is cross-validated on its own."""
    spectrogram: Literal["stft", "mfcc", "mel", "stft-mel-mfcc"] = "stft"
    """Type of spectrogram that represents the audio. Three are drawn as red, green and
    blue."""
    colormap: Literal["viridis", "gray"] = "viridis"
    """Colormap of the spectrograms."""
    spectrogram_norm: Literal["fixed", "window", "clip", "clip-mvn", "global-mvn"] = (
        "fixed"
    )
    """Normalization of spectrograms, before the colormap: fixed range, range of each
    window, range of each clip, or mean and variance of each row (of the clip, or of
    speech)."""
    encoder: str = "tiny"
    """Key of `registry.ENCODERS`. Empty for the encoder that the weights fit."""
    weights: str = "none"
    """File name of the encoder's initial weights, or ``none``."""
    weights_sha256: str = ""
    """SHA-256 of that file."""
    weights_format: str = ""
    """Format detected in that file."""
    allow_missing: tuple[str, ...] = ()
    """Parts of the encoder that may be missing in the weights and start at random."""
    norm_eps: float | None = None
    """LayerNorm epsilon. None for the value that the weights expect."""
    pool: Literal["mean", "region"] | None = None
    """Tokens that are averaged. None for those that the weights expect."""
    pos_embed: bool | None = None
    """True to add fixed position embeddings. None for what the weights expect."""
    image_norm: str | None = None
    """Normalization of the images. None for the one that the weights expect."""
    compile: bool = False
    """True to compile the encoder's blocks. This changes the rounding."""
    checkpoint_activations: bool = False
    """True to recompute activations for the gradients, which saves memory."""
    method: Literal["linear-probe", "finetune"] = "linear-probe"
    """`linear-probe` freezes the encoder; `finetune` trains it as well."""
    labels: str
    """Label set of the store."""
    protocol: str
    """Protocol that assigns speakers to folds."""
    fold: int | None = None
    """Number of the only fold that is trained and tested. None for all folds."""
    epochs: int
    """Number of training epochs. Without `val` the last epoch is tested."""
    batch_size: int
    """Number of clips per optimizer step, in all processes."""
    grad_accum_steps: int = 1
    """Number of micro-batches per optimizer step. Their gradients are summed."""
    lr: float
    """Learning rate of AdamW: constant in a linear probe, the highest otherwise."""
    base_lr: float | None = None
    """Learning rate per 256 clips, from which `lr` was scaled. None if `lr` was not
    scaled."""
    warmup: float = 0.1
    """Fraction of the fine-tuning steps in which the learning rate rises."""
    layer_decay: float = 1.0
    """Learning rate of a layer relative to the layer above it, in fine-tuning."""
    weight_decay: float = 0.05
    """Weight decay of AdamW (paper IV-B3). Biases and norms are not decayed."""
    patch_lr_scale: float = 1.0
    """Factor on the learning rate of the patch projection, in fine-tuning."""
    augment: Literal["none", "audio", "video", "all"] = "none"
    """Modalities of the clips that fine-tuning augments."""
    mask: float = 0.0
    """Fraction of a spectrogram that is masked, in frequency and in time."""
    mixup: float = 0.0
    """Alpha of Mixup (arXiv 1710.09412). 0 disables it."""
    cutmix: float = 0.0
    """Alpha of CutMix (arXiv 1905.04899). 0 disables it."""
    modality_dropout: float = 0.0
    """Probability that a training clip of a joint strategy lacks one modality, video
    and audio at even odds (AV-HuBERT, arXiv 2201.02184). It is drawn for each clip and
    epoch."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the classes in the loss: equal, or inversely proportional to their
    number of training clips."""
    sampler: Literal["shuffle", "balanced"] = "shuffle"
    """Clips of an epoch: each once, or drawn with replacement so that all classes are
    equally likely."""
    label_smoothing: float = 0.0
    """Fraction of each target that is spread over all classes (0.1 in VideoMAE)."""
    erase: float = 0.0
    """Probability that a box of a clip's faces is replaced by noise (random erasing,
    arXiv 1708.04896)."""
    head_dropout: float = 0.0
    """Fraction of the features that is dropped before the head, in fine-tuning."""
    head_init_scale: float = 1.0
    """Factor on the initial weights of the head, in fine-tuning."""
    drop_path: float = 0.0
    """Stochastic-depth rate of the last block. It rises linearly from 0 at the first
    block."""
    drop_tokens: float = 0.0
    """Fraction of a clip's tokens that fine-tuning drops, drawn for each step
    (PatchDropout, arXiv 2208.07220). Evaluation uses all tokens."""
    clip_grad: float = 0.0
    """Maximum gradient norm in fine-tuning. 0 disables clipping."""
    ema_decay: float = 0.0
    """EMA decay; the EMA weights are evaluated. 0 disables it."""
    val: Literal["none", "speakers"] = "none"
    """Model selection: the last epoch, or the best epoch on held-out speakers, a fifth
    of those of the train side. Held-out speakers are not trained on."""
    patience: int = 0
    """Number of epochs without a better validation UAR after which a fold ends. 0
    disables early stopping."""
    report_best_test_epoch: bool = False
    """True to score the test side after each epoch as well, as most papers do."""
    drop_modality: tuple[str, ...] = ()
    """Modalities without which the test side is scored as well, in addition to the
    scores with both."""
    views: int = 1
    """Number of views of a tested clip whose probabilities are averaged: 1, or 2 for
    the clip and its mirror image."""
    allow_seen: bool = False
    """True to test on clips that the initial weights have seen in pre-training. The
    result is marked as not valid."""
    seed: int = 0
    """Seed of the initial weights, the order of clips and the frame order of RFAS. The
    first one of `seeds` if there are several."""
    seeds: tuple[int, ...] = ()
    """All seeds of a run with several: every fold is trained with each. Empty for a run
    with one."""
    rfas_resample: bool = False
    """True to draw a new frame order of RFAS for each epoch."""
    device: str = "cpu"
    """Kind of device. A GPU computes in bfloat16, so its results differ."""

    def __post_init__(self) -> None:
        """Reject values out of range, and settings that contradict each other."""
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if value is not None and not allowed.contains(value):
                msg = f"{_option(name)} {value:g}: expected {allowed}"
                raise SettingsError(msg)
        if self.method == "linear-probe":
            self._check_finetune_only()
        self._check_augmentation()
        if self.spectrogram == "stft-mel-mfcc" and self.colormap != "gray":
            msg = (
                f"--colormap {self.colormap}: --spectrogram {self.spectrogram} fills "
                "the red, green and blue plane. Use --colormap gray."
            )
            raise SettingsError(msg)
        if not self.strategies or len(set(self.strategies)) < len(self.strategies):
            msg = f"--strategy {','.join(self.strategies)}: expected each strategy once"
            raise SettingsError(msg)
        if self.allow_missing and self.weights == "none":
            msg = (
                "--allow-missing: without --weights all parts start at random. "
                "Leave it out."
            )
            raise SettingsError(msg)
        if self.class_weights == self.sampler == "balanced":
            msg = (
                "--class-weights balanced: --sampler balanced corrects the frequencies "
                "of the classes as well. Leave one of them out."
            )
            raise SettingsError(msg)
        if self.seeds:
            self._check_seeds()
        if self.patience and self.val == "none":
            msg = "--patience: needs --val speakers, whose scores end a fold early"
            raise SettingsError(msg)
        self._check_dropped()
        if self.rfas_resample and "rfas" not in self.strategies:
            msg = f"--rfas-resample: no rfas among {', '.join(self.strategies)}"
            raise SettingsError(msg)

    def _check_seeds(self) -> None:
        names = ",".join(map(str, self.seeds))
        if len(set(self.seeds)) < len(self.seeds):
            msg = f"--seed {names}: expected each seed once"
            raise SettingsError(msg)
        if min(self.seeds) < 0:
            msg = f"--seed {names}: expected {RANGES['seed']}"
            raise SettingsError(msg)
        if self.seeds[0] != self.seed or len(self.seeds) < 2:
            msg = (
                f"seeds {names}: expected several, the first equal to seed {self.seed}"
            )
            raise SettingsError(msg)

    def of_seed(self, seed: int) -> "TrainConfig":
        """Return the settings of a run with one of the seeds only."""
        return replace(self, seed=seed, seeds=())

    def _check_augmentation(self) -> None:
        augment = f"--augment {self.augment}"
        msg = ""
        if self.augment in ("audio", "all") and self.spectrogram == "mfcc":
            msg = (
                f"{augment}: needs an STFT. Use --spectrogram stft or "
                "--spectrogram mel."
            )
        elif self.augment == "audio" and self.strategies == ("video",):
            msg = f"{augment}: --strategy video has no audio"
        elif self.augment == "video" and self.strategies == ("audio",):
            msg = f"{augment}: --strategy audio has no video frames"
        elif self.mask and self.strategies == ("video",):
            msg = "--mask: --strategy video has no spectrogram"
        elif self.erase and self.strategies == ("audio",):
            msg = "--erase: --strategy audio has no video frames"
        elif self.views > 1 and self.strategies == ("audio",):
            msg = "--views 2: --strategy audio has no video frames to mirror"
        if msg:
            raise SettingsError(msg)

    def _check_dropped(self) -> None:
        names = set(self.drop_modality)
        if not names <= {"audio", "video"} or len(names) < len(self.drop_modality):
            msg = (
                f"--drop-modality {','.join(self.drop_modality)}: expected none, or "
                "audio and video once each"
            )
            raise SettingsError(msg)
        option = "--drop-modality" if names else "--modality-dropout"
        single = set(self.strategies) <= {"video", "audio"}
        if single and (names or self.modality_dropout):
            msg = (
                f"{option}: --strategy {','.join(self.strategies)} has one modality; "
                "expected a strategy of both, such as cfas"
            )
            raise SettingsError(msg)

    def _check_finetune_only(self) -> None:
        defaults = {f.name: f.default for f in fields(self)}
        for name in FINETUNE_ONLY:
            if getattr(self, name) != defaults[name]:
                msg = (
                    f"{_option(name)}: has no effect with --method linear-probe, which "
                    "freezes the encoder. Use --method finetune, or leave it out."
                )
                raise SettingsError(msg)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values, the form saved in results."""
        names = ("strategies", "allow_missing", "drop_modality", "seeds")
        return asdict(self) | {name: list(getattr(self, name)) for name in names}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "TrainConfig":
        """Return the settings from the form written by `to_json`.

        Raises:
            SettingsError: If they are of another version, or out of range.
        """
        lists = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
        try:
            return TrainConfig(**(dict(values) | lists))
        except TypeError as error:
            msg = f"settings of another version of mmder-train ({error})"
            raise SettingsError(msg) from error


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
