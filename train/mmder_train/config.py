"""Everything that determines the numbers of a run, saved beside them.

How many processes read, where results go and how loud the program is are not in
here: two runs with equal settings over equal stores give equal numbers.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from mmder_store.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneDefaults:
    """What a way of tuning takes where the user names nothing."""

    epochs: int
    batch: int
    lr: float


TUNES = {
    # Paper: IV-B3, "base learning rate of 1e-2"; epochs and batch are open and are
    # the release's. Constant, as in the release.
    "head": TuneDefaults(epochs=100, batch=16, lr=1e-2),
    # Paper: nothing. For an encoder that starts from random weights; one that was
    # trained before wants about a tenth of this rate.
    "full": TuneDefaults(epochs=30, batch=8, lr=1e-3),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Settings of a run."""

    strategies: tuple[str, ...]
    """What the encoder sees, one cross-validation each."""
    audio: Literal["mfcc", "stft", "mel"] = "mfcc"
    """Which spectrogram stands for the sound."""
    colour: Literal["viridis", "grey"] = "viridis"
    """What spectrograms are painted with."""
    scale: Literal["window", "clip", "fixed"] = "window"
    """Over what the values of a spectrogram are stretched to all colours."""
    encoder: str = "tiny"
    """A row of `encoders.ENCODERS`; empty for the one that the weights fit."""
    weights: str = "none"
    """Name of the file with the encoder's first weights, or none."""
    weights_sha256: str = ""
    """Hash of that file."""
    weights_format: str = ""
    """What was recognised in it."""
    new_parts: tuple[str, ...] = ()
    """Parts of the encoder that may start at random beside those weights."""
    epsilon: float | None = None
    """Of the encoder's LayerNorms; None for what the weights expect."""
    pool: Literal["mean", "region"] | None = None
    """Which tokens are averaged; None for what the weights expect."""
    positions: bool | None = None
    """Whether fixed positions are added; None for what the weights expect."""
    statistics: str | None = None
    """What pictures are normalised with; None for what the weights expect."""
    compile: bool = False
    """Compile the encoder's blocks; rounding differs."""
    checkpoint_activations: bool = False
    """Compute the inside of blocks again for the gradients."""
    tune: Literal["head", "full"] = "head"
    """Whether the encoder stays as it is."""
    labels: str
    """Label set of the store."""
    protocol: str
    """How speakers are cut into folds."""
    fold: int | None = None
    """The one fold that is tested, None for all."""
    epochs: int
    """Passes over the training side; the last one is tested, never the best."""
    batch: int
    """Clips a step of the optimiser."""
    lr: float
    """Learning rate of AdamW; its highest where it follows a cosine."""
    weight_decay: float = 0.05
    """Weight decay of AdamW (paper IV-B3); none on biases and norms."""
    patch_rate: float = 1.0
    """Share of the rate that the projection of patches takes in `full`."""
    augment: Literal["none", "sound"] = "none"
    """What a training step of `full` varies: each clip's loudness and pitch."""
    label_smoothing: float = 0.0
    """Share of each target that is spread over all classes (0.1 in VideoMAE)."""
    drop_tokens: float = 0.0
    """Share of a clip's tokens that a training step of `full` leaves out, drawn anew
    each time (PatchDropout, arXiv 2208.07220); a test sees all."""
    seed: int = 0
    """Draws first weights, the order of clips and the places of RFAS."""
    rfas_resample: bool = False
    """Draw the places of RFAS anew each epoch."""
    device: str = "cpu"
    """Kind of device; a GPU computes in bfloat16, so its numbers differ."""

    def __post_init__(self) -> None:
        """Refuse values out of range, and combinations that cannot be."""
        least = {"epochs": 1, "batch": 1, "seed": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                msg = f"--{name} {getattr(self, name)}: expected {low} or more"
                raise SettingsError(msg)
        if not 0 < self.lr <= 1:
            msg = f"--lr {self.lr:g}: expected above 0 and at most 1"
            raise SettingsError(msg)
        if self.epsilon is not None and not 0 < self.epsilon <= 1e-2:
            msg = f"--epsilon {self.epsilon:g}: expected above 0 and at most 0.01"
            raise SettingsError(msg)
        if not 0 <= self.weight_decay <= 1:
            msg = f"--weight-decay {self.weight_decay:g}: expected 0 to 1"
            raise SettingsError(msg)
        for name in ("label_smoothing", "drop_tokens"):
            if not 0 <= getattr(self, name) < 1:
                option = f"--{name.replace('_', '-')}"
                msg = f"{option} {getattr(self, name):g}: expected 0 to below 1"
                raise SettingsError(msg)
        if not 0 <= self.patch_rate <= 1:
            msg = f"--patch-rate {self.patch_rate:g}: expected 0 to 1"
            raise SettingsError(msg)
        if self.tune == "head":
            self._refuse_what_only_full_takes()
        if self.augment == "sound" and self.audio == "mfcc":
            msg = "--augment sound: varies an STFT. Say --audio stft or --audio mel."
            raise SettingsError(msg)
        if self.augment == "sound" and self.strategies == ("video",):
            msg = "--augment sound: --strategy video has no sound"
            raise SettingsError(msg)
        if not self.strategies or len(set(self.strategies)) < len(self.strategies):
            msg = f"--strategy {','.join(self.strategies)}: expected each strategy once"
            raise SettingsError(msg)
        if self.new_parts and self.weights == "none":
            msg = "--new-parts: all parts are new without --weights. Leave it out."
            raise SettingsError(msg)
        if self.checkpoint_activations and self.tune == "head":
            msg = (
                "--checkpoint-activations: a frozen encoder keeps no activations. "
                "Say --tune full, or leave it out."
            )
            raise SettingsError(msg)
        if self.rfas_resample and self.tune == "head":
            msg = (
                "--rfas-resample: a frozen encoder sees every clip once, so there is "
                "no epoch to draw anew for. Say --tune full, or leave it out."
            )
            raise SettingsError(msg)
        if self.rfas_resample and "rfas" not in self.strategies:
            msg = f"--rfas-resample: no rfas among {', '.join(self.strategies)}"
            raise SettingsError(msg)

    def _refuse_what_only_full_takes(self) -> None:
        given = {
            "--augment": self.augment != "none",
            "--drop-tokens": self.drop_tokens,
            "--label-smoothing": self.label_smoothing,
            "--patch-rate": self.patch_rate != 1,
        }
        for option in (name for name, value in given.items() if value):
            msg = f"{option}: --tune head has none. Say --tune full, or leave it out."
            raise SettingsError(msg)

    def to_json(self) -> dict[str, Any]:
        """Give the form kept in results."""
        lists = {"strategies": self.strategies, "new_parts": self.new_parts}
        return asdict(self) | {name: list(value) for name, value in lists.items()}
