"""`mmder-train figures`: the figures of finished runs, for a paper."""

from pathlib import Path

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_train.cli.options import out_option, verbose_option


@click.command()
@click.argument("runs", metavar="RUN...", type=LocalPath(), nargs=-1, required=True)
@out_option("Folder for the figures.", default=Path("figures"), show_default=True)
@verbose_option
def figures(runs: tuple[Path, ...], out: Path) -> None:
    """Draw the figures of finished runs for a paper.

    RUN is a folder written by mmder-train. Each figure is one column (3.3 inches) wide
    and is written as SVG, PDF and PNG: WAR and UAR with intervals, recall of each
    class, a confusion matrix per row, and learning curves per run and strategy. The
    colors differ for readers with any kind of color blindness.
    """
    from mmder_cli.output_folder import check_output_folder
    from mmder_store.errors import SettingsError
    from mmder_train.reporting.draw_figures import draw_figures

    check_output_folder(out)
    if out.exists() and not out.is_dir():
        msg = f"--out {out}: is a file. Choose another folder."
        raise SettingsError(msg)
    for path in draw_figures(runs, out):
        click.echo(path)
