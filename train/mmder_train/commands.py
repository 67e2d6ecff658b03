"""The commands of `mmder-train` beside training: baseline, comparisons, predictions.

Like `cli`, nothing here imports what is heavy before an option was understood.
"""

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import click

MODELS = ("logistic", "svm")
DETAILS = ("coarse", "fine")


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default="logistic",
    help="Logistic regression, or an SVM with a radial kernel.",
)
@click.option("--labels", help="Label set.  [default: the store's first]")
@click.option(
    "--protocol",
    help="Folds named by the store, or speakers-5.  [default: the store's first]",
)
@click.option(
    "--fold", type=click.IntRange(min=1), help="Fold that is tested.  [default: all]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the results.  [default: runs/STORE-baseline-MODEL-HASH]",
)
def baseline(
    store: Path,
    model: str,
    labels: str | None,
    protocol: str | None,
    fold: int | None,
    out: Path | None,
) -> None:
    """Test a simple classifier on the same clips and folds.

    It sees means, spreads and percentiles over time of the stored sound: MFCC and mel
    bands. Results have the form of a run, so that `report` sets them beside yours.
    Nothing is drawn: the same store gives the same numbers.
    """
    from rich.console import Console

    from mmder_store import Store
    from mmder_train import report as scores
    from mmder_train.baseline import measure, prepare
    from mmder_train.records import RunFolder

    found = prepare(
        Store(store),
        model=model,  # type: ignore[arg-type]
        labels=labels or "",
        protocol=protocol or "",
        fold=fold,
    )
    folder = RunFolder(path=out or found.default_folder())
    results = measure(found, folder, say=lambda line: click.echo(line, err=True))
    scores.print_tables(results, folder, Console())


@click.command()
@click.argument(
    "runs", metavar="RUN...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder for report.md, report.csv and report.html.",
)
def report(runs: tuple[Path, ...], out: Path) -> None:
    """Set finished runs beside each other and beside published results.

    RUN is a folder that mmder-train wrote, the baseline's too. Runs that differ in the
    seed alone are one row, with its spread. Each row tells its source, its classes and
    whether its protocol keeps speakers apart; label sets are never ranked together.
    """
    from mmder_store.errors import SettingsError
    from mmder_store.files import beside
    from mmder_train import compare_page
    from mmder_train.compare import compare

    if out.exists() and not out.is_dir():
        msg = f"--out {out}: is a file. Choose another folder."
        raise SettingsError(msg)
    rankings = compare(runs)
    made = {
        "report.md": compare_page.markdown(rankings),
        "report.csv": compare_page.table(rankings),
        "report.html": compare_page.html(rankings),
    }
    for name, text in made.items():
        with beside(out / name) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    click.echo(made["report.md"])
    for name in made:
        click.echo(f"{Path(name).suffix[1:]}: {out / name}")


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
    from mmder_train.listed import listed

    found = listed(clips, root=root)

    from rich.console import Console

    from mmder_train import evidence, predicted, prepared
    from mmder_train.kept import read_kept
    from mmder_train.predict import notes, predictions
    from mmder_train.trial import choose_device

    def say(line: str) -> None:
        click.echo(line, err=True)

    pictures = evidence.folder_for(explain) if explain else None
    kept = read_kept(
        run, strategy=strategy, fold=fold, store=store, device=choose_device(device)
    )
    names = [clip.clip_id for clip in found.clips]
    for note in (*found.notes, *notes(kept, names)):
        say(note)
    made = []
    with ExitStack() as stack:
        write = (
            stack.enter_context(predicted.csv_file(out, kept.classes)) if out else None
        )
        bar = stack.enter_context(prepared.progress(len(names), Console(stderr=True)))
        ready = prepared.prepared(found.clips, kept.settings, tick=bar.tick)
        for one in predictions(ready, kept):
            if write:
                write(one)
            if pictures and one.probability:
                told = evidence.explain(one.clip, kept, folder=pictures, detail=detail)
                bar.console.print(told, soft_wrap=True, markup=False, highlight=False)
            made.append(one.without_arrays())
    if out is None:
        predicted.print_predictions(made, kept.classes, Console())
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
