"""The commands of `mmder-train` beside training: baseline, comparisons, predictions.

Like `cli`, nothing here imports what is heavy before an option was understood.
"""

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import click

DETAILS = ("coarse", "fine")


@click.command()
@click.argument(
    "clips", metavar="CLIP...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "--run",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of a finished run made with --save-weights.",
)
@click.option("--strategy", help="Which of the run's strategies, if it has several.")
@click.option(
    "--fold",
    type=click.IntRange(min=1),
    help="Model of one fold.  [default: mean of all folds' models]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="CSV file with every class's probability, instead of a table to read.",
)
@click.option(
    "--explain",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for one PNG a clip: what the answer rests on. They show faces.",
)
@click.option(
    "--detail",
    type=click.Choice(DETAILS),
    default="coarse",
    show_default=True,
    help="Of --explain: 64 blocks, or 512, of which each is hidden in turn.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder that paths of a CSV list are relative to.  [default: the list's]",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    help="Store of the run, where an older mmder made the run.",
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="Where the models compute; faces are looked for on the CPU.",
)
def predict(
    clips: tuple[Path, ...],
    run: Path,
    strategy: str | None,
    fold: int | None,
    out: Path | None,
    explain: Path | None,
    detail: str,
    root: Path | None,
    store: Path | None,
    device: str,
) -> None:
    """Name the emotion of new clips, from raw media.

    CLIP is a media file, a folder of them, or a CSV list with the column path (and,
    where wanted, those of 'mmder-prep manifest'). Clips are prepared as those of the
    run were. Exit code 3 where a clip lacks face, picture or sound that the strategy
    takes, or cannot be read; all others are predicted.
    """
    from mmder_train.inference.clip_list import find_clips

    found = find_clips(clips, root=root)

    from rich.console import Console

    from mmder_train.inference import explain as occlusion_maps
    from mmder_train.inference import output, preprocessing
    from mmder_train.inference.predictor import overlap_warnings, predict_clips
    from mmder_train.inference.trained_run import load_trained_run
    from mmder_train.runtime.device import choose_device

    def say(line: str) -> None:
        click.echo(line, err=True)

    pictures = occlusion_maps.create_image_dir(explain) if explain else None
    kept = load_trained_run(
        run, strategy=strategy, fold=fold, store=store, device=choose_device(device)
    )
    names = [clip.clip_id for clip in found.clips]
    for note in (*found.warnings, *overlap_warnings(kept, names)):
        say(note)
    made = []
    with ExitStack() as stack:
        write = stack.enter_context(output.csv_file(out, kept.classes)) if out else None
        bar = stack.enter_context(
            preprocessing.progress(len(names), Console(stderr=True))
        )
        ready = preprocessing.prepare_clips(found.clips, kept.settings, tick=bar.tick)
        for one in predict_clips(ready, kept):
            if write:
                write(one)
            if pictures and one.probability:
                told = occlusion_maps.draw_explanation(
                    one.clip, kept, folder=pictures, detail=detail
                )
                bar.console.print(told, soft_wrap=True, markup=False, highlight=False)
            made.append(one.without_arrays())
    if out is None:
        output.print_predictions(made, kept.classes, Console())
    else:
        counts = Counter(one.emotion(kept.classes) or "no emotion" for one in made)
        click.echo(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
        click.echo(f"predictions: {out}")
    if pictures:
        click.echo(f"pictures: {pictures}")
    missed = sum(one.probability is None for one in made)
    if missed:
        say(f"{missed} of {len(made)} clips have no emotion: see their reasons")
        sys.exit(3)
