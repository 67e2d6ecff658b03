"""The commands of `mmder-train` beside training: a simple baseline, and comparisons.

Like `cli`, nothing here imports what is heavy before an option was understood.
"""

from pathlib import Path

import click

MODELS = ("logistic", "svm")


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
