"""Everything that determines the numbers of a run, saved beside them.

How many processes read, where results go and how loud the program is are not in
here: two runs with equal settings over equal stores give equal numbers.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from mmder_store.errors import SettingsError

FINETUNE_ONLY = (
    "grad_accum_steps",
    "augment",
    "checkpoint_activations",
    "clip_grad",
    "cutmix",
    "drop_path",
    "drop_tokens",
    "ema_decay",
    "label_smoothing",
    "layer_decay",
    "mask",
    "mixup",
    "patch_lr_scale",
    "rfas_resample",
    "warmup",
)
"""Settings that a head on a frozen encoder has no use for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """The values that a setting may have."""

    low: float
    high: float = math.inf
    above: bool = False
    """Whether the lowest one is left out."""
    below: bool = False
    """Whether the highest one is left out."""

    def holds(self, value: float) -> bool:
        """Tell if a value is one of them; no number is in no range."""
        over = value > self.low if self.above else value >= self.low
        return over and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        """Say what is expected."""
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
    "label_smoothing": Range(low=0, high=1, below=True),
    "mask": Range(low=0, high=0.5),
    "mixup": Range(low=0, high=10),
    "cutmix": Range(low=0, high=10),
    "clip_grad": Range(low=0),
    "ema_decay": Range(low=0, high=1, below=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Settings of a run."""

    recipe: str = "none"
    """The preset whose settings hold where none was named; see `recipes.RECIPES`."""
    strategies: tuple[str, ...]
    """What the encoder sees, one cross-validation each."""
    spectrogram: Literal["mfcc", "stft", "mel"] = "mfcc"
    """Which spectrogram stands for the sound."""
    colormap: Literal["viridis", "gray"] = "viridis"
    """What spectrograms are painted with."""
    spectrogram_norm: Literal["window", "clip", "fixed"] = "window"
    """Over what the values of a spectrogram are stretched to all colours."""
    encoder: str = "tiny"
    """A row of `encoders.ENCODERS`; empty for the one that the weights fit."""
    weights: str = "none"
    """Name of the file with the encoder's first weights, or none."""
    weights_sha256: str = ""
    """Hash of that file."""
    weights_format: str = ""
    """What was recognised in it."""
    allow_missing: tuple[str, ...] = ()
    """Parts of the encoder that may start at random beside those weights."""
    norm_eps: float | None = None
    """Of the encoder's LayerNorms; None for what the weights expect."""
    pool: Literal["mean", "region"] | None = None
    """Which tokens are averaged; None for what the weights expect."""
    pos_embed: bool | None = None
    """Whether fixed positions are added; None for what the weights expect."""
    image_norm: str | None = None
    """What pictures are normalised with; None for what the weights expect."""
    compile: bool = False
    """Compile the encoder's blocks; rounding differs."""
    checkpoint_activations: bool = False
    """Compute the inside of blocks again for the gradients."""
    method: Literal["linear-probe", "finetune"] = "linear-probe"
    """Whether the encoder stays as it is."""
    labels: str
    """Label set of the store."""
    protocol: str
    """How speakers are cut into folds."""
    fold: int | None = None
    """The one fold that is tested, None for all."""
    epochs: int
    """Passes over the training side; without `val` the last one is tested."""
    batch_size: int
    """Clips a step of the optimiser, in all processes."""
    grad_accum_steps: int = 1
    """Parts that a step's clips pass in, their gradients summed."""
    lr: float
    """Learning rate of AdamW; its highest where it follows a cosine."""
    warmup: float = 0.1
    """Share of all steps of `full` in which the rate climbs."""
    layer_decay: float = 1.0
    """Share of the rate of the layer above that each layer takes in `full`."""
    weight_decay: float = 0.05
    """Weight decay of AdamW (paper IV-B3); none on biases and norms."""
    patch_lr_scale: float = 1.0
    """Share of the rate that the projection of patches takes in `full`."""
    augment: Literal["none", "audio", "video", "all"] = "none"
    """What a training step of `full` varies in each clip."""
    mask: float = 0.0
    """Share of a spectrogram that is masked, in frequency and in time."""
    mixup: float = 0.0
    """Alpha of Mixup (arXiv 1710.09412); 0 for none."""
    cutmix: float = 0.0
    """Alpha of CutMix (arXiv 1905.04899); 0 for none."""
    label_smoothing: float = 0.0
    """Share of each target that is spread over all classes (0.1 in VideoMAE)."""
    drop_path: float = 0.0
    """Share of clips that pass the last block by; it grows from 0 at the first."""
    drop_tokens: float = 0.0
    """Share of a clip's tokens that a training step of `full` leaves out, drawn anew
    each time (PatchDropout, arXiv 2208.07220); a test sees all."""
    clip_grad: float = 0.0
    """Longest gradient of `full`; 0 for any."""
    ema_decay: float = 0.0
    """Decay of the mean of weights that is tested in their place; 0 for none."""
    val: Literal["none", "speakers"] = "none"
    """Who chooses the epoch that is tested: nobody, so the last, or a fifth of the
    train side's speakers, who are not trained on."""
    patience: int = 0
    """Epochs without a better UAR in validation after which a fold ends; 0 for none."""
    report_best_test_epoch: bool = False
    """Score the test side after each epoch as well, as most papers do."""
    world_size: int = 1
    """That train together; the sum of their gradients is rounded differently."""
    seed: int = 0
    """Draws first weights, the order of clips and the places of RFAS."""
    rfas_resample: bool = False
    """Draw the places of RFAS anew each epoch."""
    device: str = "cpu"
    """Kind of device; a GPU computes in bfloat16, so its numbers differ."""

    def __post_init__(self) -> None:
        """Refuse values out of range, and combinations that cannot be."""
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if value is not None and not allowed.holds(value):
                msg = f"{_option(name)} {value:g}: expected {allowed}"
                raise SettingsError(msg)
        if self.method == "linear-probe":
            self._check_finetune_only()
        self._check_augmentation()
        if not self.strategies or len(set(self.strategies)) < len(self.strategies):
            msg = f"--strategy {','.join(self.strategies)}: expected each strategy once"
            raise SettingsError(msg)
        if self.allow_missing and self.weights == "none":
            msg = "--allow-missing: all parts are new without --weights. Leave it out."
            raise SettingsError(msg)
        if self.patience and self.val == "none":
            msg = "--patience: needs --val speakers, or nothing tells when to stop"
            raise SettingsError(msg)
        if self.rfas_resample and "rfas" not in self.strategies:
            msg = f"--rfas-resample: no rfas among {', '.join(self.strategies)}"
            raise SettingsError(msg)

    def _check_augmentation(self) -> None:
        said = f"--augment {self.augment}"
        msg = ""
        if self.augment in ("audio", "all") and self.spectrogram == "mfcc":
            msg = (
                f"{said}: varies an STFT. Say --spectrogram stft or --spectrogram mel."
            )
        elif self.augment == "audio" and self.strategies == ("video",):
            msg = f"{said}: --strategy video has no sound"
        elif self.augment == "video" and self.strategies == ("audio",):
            msg = f"{said}: --strategy audio has no pictures"
        elif self.mask and self.strategies == ("video",):
            msg = "--mask: --strategy video has no spectrogram"
        if msg:
            raise SettingsError(msg)

    def _check_finetune_only(self) -> None:
        usual = {f.name: f.default for f in fields(self)}
        for name in FINETUNE_ONLY:
            if getattr(self, name) != usual[name]:
                msg = (
                    f"{_option(name)}: --method linear-probe has none, its encoder is frozen. "
                    "Say --method finetune, or leave it out."
                )
                raise SettingsError(msg)

    def to_json(self) -> dict[str, Any]:
        """Give the form kept in results."""
        lists = {"strategies": self.strategies, "allow_missing": self.allow_missing}
        return asdict(self) | {name: list(value) for name, value in lists.items()}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> "TrainConfig":
        """Give what `to_json` told.

        Raises:
            SettingsError: If it is of another version, or out of range.
        """
        lists = {k: tuple(v) for k, v in found.items() if isinstance(v, list)}
        try:
            return TrainConfig(**(dict(found) | lists))
        except TypeError as error:
            msg = f"settings of another version of mmder-train ({error})"
            raise SettingsError(msg) from error


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
