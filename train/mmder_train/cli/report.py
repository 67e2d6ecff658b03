"""TODO."""

from pathlib import Path

import click


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
    from mmder_store.atomic_files import atomic_write
    from mmder_store.errors import SettingsError
    from mmder_train.reporting import page
    from mmder_train.reporting.comparison import compare_runs

    if out.exists() and not out.is_dir():
        msg = f"--out {out}: is a file. Choose another folder."
        raise SettingsError(msg)
    rankings = compare_runs(runs)
    made = {
        "report.md": page.markdown(rankings),
        "report.csv": page.table(rankings),
        "report.html": page.html(rankings),
    }
    for name, text in made.items():
        with atomic_write(out / name) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    click.echo(made["report.md"])
    for name in made:
        click.echo(f"{Path(name).suffix[1:]}: {out / name}")
