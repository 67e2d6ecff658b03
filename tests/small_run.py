"""A small finished run, with the media files and the store that it was made from."""

import csv
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mmder_store import Store
from mmder_train.cli.main import cli
from mmder_train.inference.clip_list import find_clips
from mmder_train.inference.preprocessing import PreparedClip, prepare_clips
from mmder_train.inference.trained_run import TrainedRun, load_trained_run
from mmder_train.models import videomae
from mmder_train.models.registry import ENCODERS, EncoderEntry
from mmder_train.models.videomae import PoolingConfig, Size
from run_cli import run_here
from synth import Synth, write

EMOTIONS = ("angry", "happy", "neutral", "sad")
STRATEGIES = ("sfas", "rfas", "audio")
SMALL_ENCODER = EncoderEntry(
    make=partial(videomae.Encoder, Size(dim=48, depth=1, heads=1)),
    readout=PoolingConfig(),
)
"""Replacement of the encoder ``tiny``, with which the run was trained."""


@dataclass(frozen=True, kw_only=True)
class SmallRun:
    """Media files, the store made of them, a run on that store, and prepared clips."""

    media: Path
    store: Path
    run_dir: Path
    clips: tuple[PreparedClip, ...]

    def load(self, strategy: str, fold: int | None = None) -> TrainedRun:
        """Load the models of one strategy."""
        return load_trained_run(
            self.run_dir, strategy=strategy, fold=fold, device="cpu"
        )


def make_small_run(folder: Path) -> SmallRun:
    """Train on eight clips of two speakers, one per fold. Clip c5 has no audio."""
    media = folder / "media"
    kinds: tuple[dict[str, Any], ...] = (
        {"suffix": "mp4", "audio_start_s": 0.2},
        {"suffix": "mkv", "audio": "flac", "video_start_s": 0.1},
        {"suffix": "webm", "video": "libvpx", "audio": "libopus", "rate_hz": 48_000},
        {"suffix": "avi", "video": "mpeg4", "audio": "pcm_s16le"},
    )
    rows = []
    for number in range(8):
        kind = {**kinds[number % 4], **({"audio": None} if number == 5 else {})}
        spec = Synth(
            seed=5 * number, duration_s=2 + number / 5, size_px=(96, 64), **kind
        )
        path = write(media / f"clip{number}", spec)
        speaker = number // 4
        rows.append(
            [f"c{number}", path.name, EMOTIONS[number % 4], f"s{speaker}", speaker + 1]
        )
    with (media / "clips.csv").open("w", newline="") as file:
        head = ["clip_id", "path", "emotion", "speaker", "fold"]
        csv.writer(file).writerows([head, *rows])
    run_here(
        *("mmder_prep", "manifest", media / "clips.csv", "--out", folder / "store"),
        *("--no-face-crop", "--step", 3, "--workers", 1, "--max-failed", 1),
    )
    words = ["--store", folder / "store", "--out", folder / "run"]
    words += ["--strategy", ",".join(STRATEGIES), "--epochs", 5, "--save-weights"]
    # None of the settings of images is the default: prediction must take the run's.
    words += ["--spectrogram", "stft-mel-mfcc", "--colormap", "gray"]
    words += ["--spectrogram-norm", "global-mvn", "--image-norm", "half"]
    words += ["--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "tiny", SMALL_ENCODER)
        completed = CliRunner().invoke(cli, list(map(str, words)))
    assert completed.exit_code == 0, completed.output
    clips = find_clips(media / "clips.csv").clips
    settings = Store(folder / "store").spec.settings
    return SmallRun(
        media=media,
        store=folder / "store",
        run_dir=folder / "run",
        clips=tuple(prepare_clips(clips, settings)),
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
