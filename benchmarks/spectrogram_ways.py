"""Ways to draw audio as an image, compared on real speech by what an encoder learns.

Each way is a type of spectrogram, a normalization and a colormap. By default a head is
trained on a frozen encoder with random weights; ``--method finetune`` trains the
encoder too. The sorted speakers of the store are cut into fifths. The last fifth is the
test side, which no choice may use. Ways are compared on the others, by cross-validation
among them: scores are WAR and UAR in percent, the mean over seeds, with the middle 95 %
over resampled speakers. A difference to the first way is resampled with the same
speakers. Predictions are saved in ``--out``, so a run can be interrupted.

    python benchmarks/spectrogram_ways.py STORE --out ways/
    python benchmarks/spectrogram_ways.py STORE --out ways/ --method finetune
    python benchmarks/spectrogram_ways.py STORE --out ways/ --test
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmder_store import Store
from mmder_store.atomic_files import atomic_write
from mmder_store.protocols import FoldProtocol
from mmder_store.settings import digest
from mmder_train.config.recipes import METHODS
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.folds import Fold, split
from mmder_train.evaluation import metrics
from mmder_train.experiment.batches import create_feed
from mmder_train.experiment.cross_validation import TUNING_METHODS
from mmder_train.experiment.feature_extraction import load_or_extract_features
from mmder_train.experiment.linear_probe import train_fold_heads
from mmder_train.experiment.setup import Experiment, StrategyRun, setup_experiment
from mmder_train.experiment.types import RuntimeContext
from mmder_train.runtime.progress import silent

Predictions = NDArray[np.int64]

PAPER = "mfcc/window/viridis"
"""The spectrogram of the paper's figures, as far as they specify it."""
WAYS = (
    PAPER,
    *(
        f"{spectrogram}/{norm}/viridis"
        for spectrogram in ("mfcc", "stft", "mel")
        for norm in ("window", "clip", "fixed", "clip-mvn", "global-mvn")
        if f"{spectrogram}/{norm}/viridis" != PAPER
    ),
    "stft/fixed/gray",
    "mel/fixed/gray",
    "stft-mel-mfcc/fixed/gray",
    "stft-mel-mfcc/global-mvn/gray",
    "stft/fixed/viridis/equal-level",
    "mel/fixed/viridis/equal-level",
)
"""Type of spectrogram, normalization, and colormap. With ``equal-level`` all clips are
brought to the same level before they are drawn, which mmder-train has no option for."""
FLOOR_DB = -100.0
"""Lowest value of a stored spectrogram."""
LEVEL_DB = -19.5
"""Mean power per bin to which clips are brought by ``equal-level``."""
FINETUNE: dict[str, Any] = {
    "encoder": "tiny-56",
    "epochs": 10,
    "batch_size": 16,
    "lr": 2e-3,
    "patch_lr_scale": 0.015,
    "label_smoothing": 0.1,
    "drop_tokens": 0.5,
}
"""Settings of ``--method finetune``: those of the recipe ``scratch`` without the
augmentation, which cepstra do not support, and with fewer epochs."""


class EqualLevelStore(Store):
    """A store whose clips all have the same mean power."""

    def read_batch(
        self, name: str, rows: Sequence[int], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return stored STFTs with the gain that brings each clip to `LEVEL_DB`."""
        stored = super().read_batch(name, rows, out)
        return equalize(stored) if name.startswith("stft") else stored


def equalize(stft_db: NDArray[Any]) -> NDArray[Any]:
    """Add a gain to each clip, so that the mean of its power is `LEVEL_DB`."""
    power = np.power(10.0, stft_db.astype(np.float64) / 10)
    level = 10 * np.log10(power.mean(axis=(1, 2, 3), keepdims=True))
    amplified = stft_db + (LEVEL_DB - level)
    equal: NDArray[Any] = np.maximum(amplified, FLOOR_DB).astype(stft_db.dtype)
    return equal


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Settings that all ways of a comparison share."""

    store: Path
    out: Path
    method: str
    settings: dict[str, Any]
    clips: str
    """Regular expression of the ids of the clips in use."""
    folds: int
    test: bool
    """True to train on all but the last fifth of the speakers, and score that."""

    def experiment(self, way: str, seed: int) -> tuple[Experiment, StrategyRun]:
        """Set up a way, with the clips in use."""
        spectrogram, norm, colormap, *equal_level = way.split("/")
        drawn: dict[str, Any] = {
            "spectrogram": spectrogram,
            "spectrogram_norm": norm,
            "colormap": colormap,
        }
        config = TrainConfig(
            **{**METHODS[self.method], **self.settings, **drawn},
            method=self.method,  # type: ignore[arg-type]
            strategies=("audio",),
            labels="",
            protocol="",
            seed=seed,
        )
        store = (EqualLevelStore if equal_level else Store)(self.store)
        experiment = setup_experiment(store, config)
        (run,) = experiment.strategies
        kept = [
            i for i, clip in enumerate(run.clips.clip_id) if re.search(self.clips, clip)
        ]
        clips = replace(
            run.clips,
            row=run.clips.row[kept],
            clip_id=tuple(run.clips.clip_id[i] for i in kept),
            speaker=tuple(run.clips.speaker[i] for i in kept),
            label=run.clips.label[kept],
        )
        return experiment, replace(run, clips=clips, folds=self.split(clips.speaker))

    def split(self, speakers: Sequence[str]) -> tuple[Fold, ...]:
        """Return the folds in which speakers are scored."""
        names = sorted(set(speakers))
        last = names[-(len(names) // 5) :]
        if self.test:
            protocol = FoldProtocol(
                name="test",
                fold_of=dict.fromkeys(last, 1),
                only_trained=tuple(names[: -len(last)]),
                source="the last fifth of the speakers",
            )
        else:
            parts = np.array_split(names[: -len(last)], self.folds)
            protocol = FoldProtocol(
                name="choice",
                fold_of={str(n): k for k, p in enumerate(parts, start=1) for n in p},
                held_out=tuple(last),
                source="the first four fifths of the speakers",
            )
        return split(speakers, protocol)

    def predict(self, way: str, seed: int) -> NDArray[np.int64]:
        """Return the confusion matrix of each scored speaker, trained or loaded."""
        settings = digest(
            *(str(self.store), self.method, self.settings, self.clips),
            *(self.folds, self.test),
        )
        name = f"{self.method}-{settings[:8]}-{seed}-{way.replace('/', '_')}"
        path = self.out / f"{name}.npy"
        if path.exists():
            loaded: NDArray[np.int64] = np.load(path)
            return loaded
        experiment, run = self.experiment(way, seed)
        predicted = np.full(len(run.clips.label), -1)
        context = RuntimeContext(progress=silent(), checkpoints=self.out / name)
        train = finetune if self.method == "finetune" else probe
        for fold, logits in train(experiment, run, context):
            predicted[fold.test] = logits.argmax(1).numpy()
        counts = count_by_speaker(
            run, predicted, classes=len(experiment.labels.classes)
        )
        with atomic_write(path) as draft, draft.open("wb") as file:
            np.save(file, counts)
        return counts


def probe(
    experiment: Experiment, run: StrategyRun, context: RuntimeContext
) -> Iterator[tuple[Fold, torch.Tensor]]:
    """Yield each fold and the logits of its test side, with a frozen encoder."""
    feed = create_feed(experiment, [run], context, rereads=False)
    features = load_or_extract_features(experiment, run, feed, context)
    for output in train_fold_heads(
        [(run, {None: features})],
        config=experiment.config,
        classes=len(experiment.labels.classes),
        context=context,
    ):
        yield output.fold, output.logits


def finetune(
    experiment: Experiment, run: StrategyRun, context: RuntimeContext
) -> Iterator[tuple[Fold, torch.Tensor]]:
    """Yield each fold and the logits of its test side, with a tuned encoder."""
    for output in TUNING_METHODS["finetune"](experiment, [(run, run.folds)], context):
        yield output.fold, output.logits


def count_by_speaker(
    run: StrategyRun, predicted: Predictions, *, classes: int
) -> NDArray[np.int64]:
    """Return the confusion matrix of each speaker of the folds' test sides."""
    speaker = np.array(run.clips.speaker)
    return np.stack(
        [
            metrics.confusion(
                run.clips.label[speaker == name],
                predicted[speaker == name],
                classes=classes,
            )
            for fold in run.folds
            for name in fold.speakers
        ]
    )


def resample(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Return WAR and UAR of all speakers, then of 2,000 draws as `metrics.intervals`.

    The draws are the same for all ways, so their differences are paired.

    Args:
        counts: Confusion matrices by seed and speaker.
    """
    speakers = counts.shape[1]
    times = np.random.default_rng(0).multinomial(
        speakers, np.full(speakers, 1 / speakers), size=metrics.DRAWS
    )
    times = np.vstack([np.ones(speakers, dtype=np.int64), times])
    drawn = np.einsum("ds,rsij->drij", times, counts)
    correct = drawn.diagonal(axis1=2, axis2=3)
    total = drawn.sum(axis=3)
    war = (correct.sum(axis=2) / total.sum(axis=2)).mean(axis=1)
    uar = (correct / total).mean(axis=2).mean(axis=1)
    return 100 * war, 100 * uar


def cell(scores: NDArray[np.float64], sign: str = "") -> str:
    """Return a score, of which the first element is not resampled, and its interval."""
    low, high = np.quantile(scores[1:], (0.025, 0.975))
    return f"{scores[0]:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def table(scores: dict[str, tuple[NDArray[np.float64], ...]]) -> str:
    """Return the scores of each way as Markdown, the best first."""
    war_0, uar_0 = next(iter(scores.values()))
    lines = [
        "| way | WAR | UAR | difference of WAR | difference of UAR |",
        "|---|---|---|---|---|",
    ]
    for way, (war, uar) in sorted(scores.items(), key=lambda item: -item[1][1][0]):
        cells = (cell(war), cell(uar), cell(war - war_0, "+"), cell(uar - uar_0, "+"))
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Compare the ways, one after the other, and print the table after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", choices=tuple(METHODS), default="linear-probe")
    parser.add_argument("--encoder", help="frozen encoder  [default: tiny]")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--clips", default="", help="pattern of the ids of clips")
    parser.add_argument("--ways", nargs="+", default=WAYS)
    parser.add_argument("--test", action="store_true", help="score the last fifth")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    given = {"encoder": asked.encoder, "epochs": asked.epochs}
    comparison = Comparison(
        store=asked.store,
        out=asked.out,
        method=asked.method,
        settings=(FINETUNE if asked.method == "finetune" else {})
        | {name: value for name, value in given.items() if value is not None},
        clips=asked.clips,
        folds=asked.folds,
        test=asked.test,
    )
    scores = {}
    for way in asked.ways:
        counts = [comparison.predict(way, seed) for seed in range(asked.seeds)]
        scores[way] = resample(np.stack(counts))
        print(way, *map(cell, scores[way]), flush=True)
    print(table(scores))


if __name__ == "__main__":
    main()
