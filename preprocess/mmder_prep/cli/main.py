"""The command group of `mmder-prep`. Heavy libraries are imported on use."""

import os
import sys
from pathlib import Path

import rich_click as click

from mmder_cli.program import INTERRUPTED, Program, print_error, verbose_option
from mmder_prep.cli.build_commands import (
    corpus_command,
    list_clips,
    manifest_command,
)
from mmder_prep.cli.cluster_commands import add_planned_corpora, plan, seal, work
from mmder_prep.cli.next_command import show_next
from mmder_prep.cli.options import (
    CORPORA,
    OTHER,
    STEPS,
    STORES,
    out_option,
    workers_option,
)
from mmder_prep.cli.options import verbose_option as command_verbose_option
from mmder_prep.cli.store_commands import STORE_COMMANDS, console_to
from mmder_prep.pipeline import temp_folder


class PrepProgram(Program):
    """The command group of `mmder-prep`."""

    def interrupted(self, subcommand: str | None) -> None:
        """Print what is kept after Ctrl-C, and end the process at once."""
        del subcommand
        print_error(
            "mmder-prep: interrupted; finished shards are kept, rerun the command to "
            "resume"
        )
        # Dask's own shutdown fails on workers that have not started yet.
        temp_folder.remove()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


@click.group(
    "mmder-prep",
    cls=PrepProgram,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.command_panel(CORPORA)
@click.command_panel(STORES)
@click.command_panel(STEPS)
@click.command_panel(OTHER)
@verbose_option()
@click.version_option(package_name="mmder", prog_name="mmder-prep")
def cli() -> None:
    """Turn a corpus of talking-face clips into an aligned, sharded store.

    Choose a corpus below, or list your own footage in a CSV file. Rerun an interrupted
    command to resume it; a finished store is left as it is.
    """


@click.command(panel=OTHER)
@click.argument("corpus", metavar="CORPUS")
@command_verbose_option
@click.pass_context
def published(ctx: click.Context, corpus: str) -> None:
    """Print the published contents of a corpus as CSV.

    The full list of clips, in the format of 'mmder-prep manifest'; or only counts, if
    the licence does not allow the list to be published.
    """
    from mmder_prep import corpora
    from mmder_prep.corpora.published import write

    known = {row.name: row for row in corpora.CORPORA}
    if corpus not in known:
        msg = f"{corpus!r} is not one of {', '.join(known)}."
        raise click.BadParameter(msg, ctx, param_hint="CORPUS")
    write(known[corpus].published(modality="av"), sys.stdout)
    show_next("mmder-prep", corpus, "--root", "FOLDER", "--check")


@click.command(panel=OTHER)
@click.option(
    "--actors",
    type=click.IntRange(1, 24),
    default=24,
    show_default=True,
    help="Number of speakers; each has one clip of each of eight emotions.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of all random choices."
)
@out_option("Folder to write the clips to.", required=True)
@workers_option
@command_verbose_option
def sample(out: Path, actors: int, seed: int, workers: int) -> None:
    """Generate a small corpus with the file names and the layout of RAVDESS.

    A public-domain portrait is animated and speaks with a synthesized voice. Results on
    it mean nothing for people.
    """
    from mmder_cli.output_folder import check_output_folder
    from mmder_prep.synthetic.corpus import write_sample

    check_output_folder(out)
    console = console_to(stderr=True)
    with console.status("writing clips") as status:

        def show(done: int, total: int) -> None:
            status.update(f"writing clips: {done} of {total}")

        summary = write_sample(
            out, actors=actors, seed=seed, workers=workers, progress=show
        )
    console.print(
        f"{summary.clips} generated clips in {summary.root} "
        f"({summary.written} written, {summary.kept} already there)",
        highlight=False,
        markup=False,
    )
    show_next("mmder-prep", "ravdess", "--root", summary.root, "--out", "STORE")


def add_corpora() -> None:
    """Add one command per corpus of the table."""
    from mmder_prep import corpora

    for corpus in corpora.CORPORA:
        cli.add_command(corpus_command(corpus))
    cli.add_command(manifest_command())
    cli.add_command(list_clips)
    add_planned_corpora()


for command in STORE_COMMANDS:
    cli.add_command(command)
for command in (published, sample, plan, work, seal):
    cli.add_command(command)


def main() -> None:
    """Run the program."""
    add_corpora()
    cli()
