"""`mmder-train compare`: tables of finished runs and of published results."""

from pathlib import Path

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_train.cli.options import out_option, verbose_option


@click.command()
@click.argument("runs", metavar="RUN...", type=LocalPath(), nargs=-1, required=True)
@out_option(
    "Folder for compare.md, compare.csv and compare.html.",
    default=Path("compare"),
    show_default=True,
)
@verbose_option
def compare(runs: tuple[Path, ...], out: Path) -> None:
    """Compare finished runs with each other and with published results.

    RUN is a folder written by mmder-train; baseline runs are accepted too. Runs that
    differ only in the seed form one row with the standard deviation over seeds. Each
    row names its source, its classes and whether its protocol separates speakers.
    Different label sets are never ranked together.
    """
    from mmder_store.atomic_files import atomic_write
    from mmder_store.errors import SettingsError
    from mmder_train.reporting import page
    from mmder_train.reporting.comparison import compare_runs

    if out.exists() and not out.is_dir():
        msg = f"--out {out}: is a file. Choose another folder."
        raise SettingsError(msg)
    rankings = compare_runs(runs)
    files = {
        "compare.md": page.markdown(rankings),
        "compare.csv": page.table(rankings),
        "compare.html": page.html(rankings),
    }
    for name, text in files.items():
        with atomic_write(out / name) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    click.echo(files["compare.md"])
    for name in files:
        click.echo(f"{Path(name).suffix[1:]}: {out / name}")
