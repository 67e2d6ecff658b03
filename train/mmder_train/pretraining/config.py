"""Settings that determine the numbers of a pre-training, saved with its weights."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from mmder_store.errors import SettingsError
from mmder_train.config.train_config import Range

RANGES = {
    "epochs": Range(low=1),
    "batch_size": Range(low=1),
    "grad_accum_steps": Range(low=1),
    "base_lr": Range(low=0, high=1, above=True),
    "warmup": Range(low=0, high=1),
    "weight_decay": Range(low=0, high=1),
    "clip_grad": Range(low=0),
    "patch_lr_scale": Range(low=0, high=1),
    "mask_video": Range(low=0, high=1, above=True, below=True),
    "mask_audio": Range(low=0, high=1, above=True, below=True),
    "hide_modality": Range(low=0, high=1),
    "val_speakers": Range(low=0, high=1, below=True),
    "probe_every": Range(low=1),
    "seed": Range(low=0),
}
LR_CLIPS = 256
"""Number of clips per step that `base_lr` refers to (VideoMAE)."""
BETAS = (0.9, 0.95)
"""Betas of AdamW (VideoMAE; 0.999 is too slow for the large gradients of a start)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """Settings of a pre-training."""

    strategy: str = "fslf"
    """Fusion strategy of the input."""
    spectrogram: Literal["stft", "mfcc", "mel", "stft-mel-mfcc"] = "stft"
    """Type of spectrogram that represents the audio. Three are drawn as red, green and
    blue."""
    colormap: Literal["viridis", "gray"] = "viridis"
    """Colormap of the spectrograms."""
    spectrogram_norm: Literal["fixed", "window", "clip", "clip-mvn", "global-mvn"] = (
        "fixed"
    )
    """Normalization of spectrograms, before the colormap."""
    image_norm: str | None = None
    """Normalization of the images. None for the one that the weights expect."""
    encoder: str = ""
    """Key of `decoder.DECODERS`. Empty for the encoder that the weights fit."""
    weights: str = "none"
    """File name of the encoder's initial weights, or ``none``."""
    weights_sha256: str = ""
    """SHA-256 of that file."""
    norm_eps: float | None = None
    """LayerNorm epsilon. None for the value that the weights expect."""
    pool: Literal["mean", "region"] | None = None
    """Tokens that the finished encoder averages."""
    pos_embed: bool | None = None
    """True to add fixed position embeddings. None for what the weights expect."""
    mask_video: float = 0.9
    """Hidden fraction of the faces."""
    mask_audio: float = 0.8
    """Hidden fraction of the spectrograms."""
    audio_mask: Literal["tube", "frequency", "time"] = "tube"
    """Shape of the masks of spectrograms."""
    hide_modality: float = 0.25
    """Fraction of the steps that hide one modality as a whole."""
    target: Literal["pixels", "motion"] = "pixels"
    """Predicted values: pixels, or the motion of faces (MAE-DFER)."""
    augment: Literal["none", "audio", "video", "all"] = "none"
    """Modalities of the clips that are augmented."""
    epochs: int = 100
    """Number of training epochs."""
    batch_size: int = 16
    """Number of clips per optimizer step, in all processes."""
    grad_accum_steps: int = 1
    """Number of micro-batches per optimizer step. Their gradients are summed."""
    base_lr: float = 1.5e-4
    """Highest learning rate for 256 clips per step. It is scaled with `batch_size`."""
    warmup: float = 0.05
    """Fraction of the steps in which the learning rate rises."""
    weight_decay: float = 0.05
    """Weight decay of AdamW. Biases and norms are not decayed."""
    patch_lr_scale: float = 1.0
    """Factor on the learning rate of the patch projection."""
    clip_grad: float = 0.7
    """Maximum gradient norm. 0 disables clipping."""
    checkpoint_activations: bool = False
    """True to recompute activations for the gradients, which saves memory."""
    val_speakers: float = 0.1
    """Fraction of the speakers that are held out to measure the loss."""
    exclude_speakers: tuple[str, ...] = ()
    """Speakers that are not seen."""
    exclude_fold: int | None = None
    """Fold of `protocol` whose test speakers are not seen."""
    protocol: str = ""
    """Fold protocol of `exclude_fold`. Empty for the store's first."""
    probe_every: int = 10
    """Number of epochs between two linear probes, if there is a labeled store, and
    between two losses of audio that is predicted from faces."""
    probe_labels: str = ""
    """Label set of the probe. Empty for the first of its store."""
    seed: int = 0
    """Seed of the initial weights, masks, held-out speakers and order of clips."""
    device: str = "cpu"
    """Kind of device. A GPU computes in bfloat16, so its results differ."""

    def __post_init__(self) -> None:
        """Reject values out of range, and settings that contradict each other."""
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if not allowed.contains(value):
                msg = f"--{name.replace('_', '-')} {value:g}: expected {allowed}"
                raise SettingsError(msg)
        if self.protocol and self.exclude_fold is None:
            msg = "--protocol: only with --exclude-fold, whose folds it defines"
            raise SettingsError(msg)
        self._check_modality()

    def _check_modality(self) -> None:
        """Reject settings of a modality that the strategy lacks."""
        msg = ""
        if self.target == "motion" and self.strategy in ("audio", "ofos", "rfas"):
            reason = "has no faces" if self.strategy == "audio" else "alternates them"
            msg = (
                f"--target motion: needs two faces in succession, and --strategy "
                f"{self.strategy} {reason}. Use --target pixels."
            )
        elif self.target == "motion" and self.strategy == "sfas":
            msg = (
                "--target motion: needs faces, and --strategy sfas adds spectrograms "
                "to them. Use --target pixels."
            )
        elif self.augment in ("audio", "all") and self.spectrogram == "mfcc":
            msg = (
                f"--augment {self.augment}: needs an STFT. Use --spectrogram stft or "
                "--spectrogram mel."
            )
        elif self.spectrogram == "stft-mel-mfcc" and self.colormap != "gray":
            msg = (
                f"--colormap {self.colormap}: --spectrogram {self.spectrogram} fills "
                "the red, green and blue plane. Use --colormap gray."
            )
        elif self.augment == "audio" and self.strategy == "video":
            msg = "--augment audio: --strategy video has no audio"
        elif self.augment == "video" and self.strategy == "audio":
            msg = "--augment video: --strategy audio has no video frames"
        if msg:
            raise SettingsError(msg)

    @property
    def lr(self) -> float:
        """Highest learning rate."""
        return self.base_lr * self.batch_size / LR_CLIPS

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self) | {"exclude_speakers": list(self.exclude_speakers)}
