"""Accuracy with which frozen features show whether audio and video belong together.

A linear head separates true clips from clips with other audio, on the frozen features
of each fusion strategy. No labels are needed, so any footage of talking faces serves.
There are two tasks:

- ``shifted``: of each file, two parts of two seconds are taken that begin 0.3 to 1 s
  apart, each once with its own audio and once with the audio of the other part.
- ``swapped``: files are paired, and each gets its own audio and that of its partner.

Each video part and each audio part occurs once in both classes. One modality by itself
therefore cannot separate the classes, and chance is 50 %. All rows of a file, or of a
pair, are in the same fold. The programs `mmder-prep` and `mmder-train` do all the work.
The accuracy is printed with the middle 95 % over resampled files or pairs.

    python benchmarks/sync_probe.py MEDIA --out sync/
    python benchmarks/sync_probe.py MEDIA --out sync/ --weights pretrained/
"""

import argparse
import csv
import hashlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from mmder_train.evaluation import metrics
from mmder_train.fusion.strategies import STRATEGIES

CLASSES = ("own audio", "other audio")
PART_S = 2.0
"""Length of a part. GRID's files have 2.98 s, so that two parts fit 0.98 s apart."""
MIN_SHIFT_S, MAX_SHIFT_S = 0.3, 1.0
"""Distance in time between the starts of the two parts of a file."""
TASKS = ("shifted", "swapped")
WEIGHTS = "{strategy}/encoder.safetensors"
"""File of a strategy's weights below the folder of ``--weights``."""
COLUMNS = (
    *("clip_id", "path", "emotion", "speaker"),
    *("start_s", "stop_s", "sound", "sound_at_s"),
)
Row = dict[str, object]
Counts = NDArray[np.int64]
"""Confusion matrix, or one per group."""


def duration_s(file: Path) -> float:
    """Return the duration of a media file in seconds."""
    with av.open(str(file)) as container:
        if container.duration is None:
            sys.exit(f"{file}: has no duration")
        return container.duration / av.time_base


def generator(seed: int, name: str) -> np.random.Generator:
    """Return a generator whose numbers follow from the seed and the name of a file."""
    return np.random.default_rng(
        list(hashlib.sha256(f"{seed}/{name}".encode()).digest())
    )


def pair_row(
    group: str,
    video: tuple[str, float],
    audio: tuple[str, float],
    number: int,
    own: bool,
) -> Row:
    """Return the line of a clip: a part of one file, with the audio of another part."""
    (path, start_s), (sound, audio_s) = video, audio
    return {
        "clip_id": f"{group}-{number}",
        "path": path,
        "emotion": CLASSES[not own],
        "speaker": group,
        "start_s": round(start_s, 3),
        "stop_s": round(start_s + PART_S, 3),
        "sound": sound,
        # The clock of the video at which the audio file begins.
        "sound_at_s": round(start_s - audio_s, 3),
    }


def balanced_rows(group: str, parts: Sequence[tuple[str, float]]) -> Iterator[Row]:
    """Yield both parts with their own audio, and with that of the other part."""
    one, two = parts
    pairs = [(one, one, True), (two, two, True), (one, two, False), (two, one, False)]
    for number, (video, audio, own) in enumerate(pairs):
        yield pair_row(group, video, audio, number, own)


def shifted_rows(media: Path, files: Sequence[Path], seed: int) -> Iterator[Row]:
    """Yield the lines of the task ``shifted``, without files that are too short."""
    for file in files:
        name = str(file.relative_to(media))
        room_s = min(duration_s(file) - PART_S, MAX_SHIFT_S)
        if room_s <= MIN_SHIFT_S:
            print(f"{name}: too short, left out")
            continue
        rng = generator(seed, name)
        shift_s = rng.uniform(MIN_SHIFT_S, room_s)
        first_s = rng.uniform(0, room_s - shift_s)
        parts = [(name, first_s), (name, first_s + shift_s)]
        yield from balanced_rows(file.stem, parts)


def swapped_rows(media: Path, files: Sequence[Path], seed: int) -> Iterator[Row]:
    """Yield the lines of the task ``swapped``: neighbors in a random order."""
    order = generator(seed, "swapped").permutation(len(files)).tolist()
    for i, j in zip(order[::2], order[1::2], strict=False):
        pair = [files[i], files[j]]
        room_s = min(duration_s(file) for file in pair) - PART_S
        if room_s <= 0:
            print(f"{pair[0].name}, {pair[1].name}: too short, left out")
            continue
        start_s = generator(seed, pair[0].name).uniform(0, min(room_s, MAX_SHIFT_S))
        parts = [(str(file.relative_to(media)), start_s) for file in pair]
        yield from balanced_rows("-".join(file.stem for file in pair), parts)


ROWS = {"shifted": shifted_rows, "swapped": swapped_rows}


def call(program: str, *words: object) -> None:
    """Run `mmder-prep` or `mmder-train`."""
    command = [str(Path(sys.executable).with_name(program)), *map(str, words)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"{program} failed")


def prepare_task(task: str, media: Path, out: Path, *, files: int, seed: int) -> Path:
    """Write the list of a task and prepare its store."""
    found = sorted(p for p in media.rglob("*") if p.suffix in (".mpg", ".mp4"))[:files]
    rows = list(ROWS[task](media, found, seed))
    if not rows:
        sys.exit(f"{media}: no .mpg or .mp4 file of more than {PART_S:g} s")
    table, labels, store = out / f"{task}.csv", out / "labels.csv", out / task
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    labels.write_text("label,emotion\n" + "".join(f"{c},{c}\n" for c in CLASSES))
    words = ("--root", media, "--label-map", labels, "--step", "auto", "--out", store)
    call("mmder-prep", "manifest", table, *words)
    return store


def train_strategy(
    store: Path, strategy: str, run: Path, weights: Path | None, encoder: str
) -> Counts:
    """Train the heads of a strategy, and return the confusion matrix of each group."""
    start = ("--encoder", encoder) if weights is None else ("--weights", weights)
    words = ("--strategy", strategy, "--device", "cpu", "--out", run, *start)
    call("mmder-train", "--store", store, *words)
    counts: defaultdict[str, Counts] = defaultdict(lambda: np.zeros((2, 2), np.int64))
    with (run / f"predictions-{strategy}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = CLASSES.index(row["true"]), CLASSES.index(row["predicted"])
            counts[row["speaker"]][cell] += 1
    return np.stack(list(counts.values()))


def main() -> None:
    """Prepare both tasks, train all heads, and print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("media", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, action="append", default=[])
    parser.add_argument("--encoder", default="tiny")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--files", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for task in TASKS:
        store = prepare_task(
            task, words.media, words.out, files=words.files, seed=words.seed
        )
        for start in (None, *words.weights):
            name = "random" if start is None else start.name
            for strategy in words.strategies:
                weights = start and start / WEIGHTS.format(strategy=strategy)
                if weights is not None and not weights.exists():
                    continue
                run = words.out / f"run-{task}-{name}-{strategy}"
                scores = train_strategy(store, strategy, run, weights, words.encoder)
                lines.append(table_line(task, name, strategy, scores))
    print("| task | encoder | strategy | clips | accuracy |\n|---|---|---|---|---|")
    print("\n".join(lines))


def table_line(task: str, name: str, strategy: str, counts: Counts) -> str:
    """Return a line of the printed table: pooled accuracy in percent."""
    (low, high), *_ = metrics.intervals(counts[None], seed=0)
    war = metrics.war(counts.sum(axis=0))
    accuracy = f"{100 * war:.1f} ({100 * low:.1f} to {100 * high:.1f})"
    return f"| {task} | {name} | `{strategy}` | {counts.sum()} | {accuracy} |"


if __name__ == "__main__":
    main()
