"""`mmder-prep`: the edge to the user. Heavy things are imported where they are used."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmder_prep.cli.options import (
    BUILD_OPTIONS,
    Decorator,
    out_option,
    step_frames,
    step_option,
    with_options,
)
from mmder_prep.cli.store_commands import STORE_COMMANDS, console_to

if TYPE_CHECKING:
    from mmder_prep.corpora import Corpus
    from mmder_prep.corpora.manifest import Manifest
    from mmder_prep.corpora.published import ExpectedContents


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mmder", prog_name="mmder-prep")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
def cli(verbose: bool) -> None:
    """Turn a corpus of talking-face clips into an aligned, sharded store.

    One of the corpora below, or any footage through a manifest. A run that is
    stopped goes on where it was; a finished one does nothing the second time.
    """


for look in STORE_COMMANDS:
    cli.add_command(look)


def _corpus_command(corpus: "Corpus") -> click.Command:
    """Make the command of a corpus from its row of the table."""
    own = [option.name for option in corpus.options]

    def command(
        root: Path,
        modality: str,
        check: bool,
        out: Path | None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        asked = {name: options.pop(name) for name in own}
        if check:
            found = corpus.find(root, modality=modality, **asked)
            _check(found, corpus.published(modality=modality, **asked))
        elif out is None:
            msg = "Missing option '--out'."
            raise click.UsageError(msg)
        else:
            found = corpus.find(root, modality=modality, **asked)
            _build(found, modality, out=out, **options)

    described = with_options(
        (
            click.option(
                "--root",
                type=click.Path(path_type=Path),
                default=corpus.root,
                show_default=True,
                envvar=corpus.root_variable,
                show_envvar=True,
                help="Folder that holds the corpus.",
            ),
            out_option(required=False),
            click.option(
                "--check",
                is_flag=True,
                help="Make no store: compare names, sizes and counts of what is there "
                "with what is published; exit code 1 where they differ.",
            ),
            *_of_corpus(corpus),
            step_option(corpus.step),
            *BUILD_OPTIONS,
        )
    )(command)
    help_text = (
        f"{corpus.title}\n\nUnpacked or in zip files, which are read without unpacking."
    )
    return click.command(corpus.name, help=help_text)(described)


def _of_corpus(corpus: "Corpus") -> list[Decorator]:
    """Make the options that choose clips: the modality, and what a corpus has more."""
    made = [
        click.option(
            "--modality",
            type=click.Choice(["av", "audio"]),
            default="av",
            show_default=True,
            help="Picture and sound, or the files of sound alone.",
        )
    ]
    for option in corpus.options:
        name = "--" + option.name.replace("_", "-")
        if option.choices:
            kind, first = click.Choice(option.choices), option.choices[0]
            made.append(
                click.option(
                    name, type=kind, default=first, show_default=True, help=option.help
                )
            )
        else:
            made.append(click.option(name, is_flag=True, help=option.help))
    return made


def add_corpora() -> None:
    """Give every corpus of the table its command."""
    from mmder_prep.corpora import CORPORA

    for corpus in CORPORA:
        cli.add_command(_corpus_command(corpus))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=None,
    show_default="the folder of FILE",
    help="Folder that paths are relative to, and may not leave.",
)
@click.option(
    "--modality",
    type=click.Choice(["av", "audio"]),
    default="av",
    show_default=True,
    help="Picture and sound, or sound alone.",
)
@with_options((out_option(required=True), step_option("6"), *BUILD_OPTIONS))
def manifest(file: Path, root: Path | None, modality: str, **options: Any) -> None:  # noqa: ANN401
    """Any footage, listed in a CSV file.

    Columns: clip_id, path, emotion, speaker; and where wanted start_s, stop_s (seconds
    from the start of the file), crop (left, right, or "left top right bottom" in
    pixels), sound (another file to take the sound from), sound_at_s (when that file
    starts), fold (from 1; the same for all clips of a speaker), rated_voice,
    rated_face, rated_both (what raters found) and note.
    """
    from mmder_prep.corpora.manifest import read_manifest

    _build(read_manifest(file, root=root), modality, **options)


@cli.command()
@click.argument("corpus", metavar="CORPUS")
@click.pass_context
def published(ctx: click.Context, corpus: str) -> None:
    """Print what is published of a corpus, as CSV.

    The full list of clips, a manifest that 'mmder-prep manifest' reads; or the counts
    alone, where the licence keeps the list with the publisher.
    """
    from mmder_prep.corpora import CORPORA
    from mmder_prep.corpora.published import write

    known = {one.name: one for one in CORPORA}
    if corpus not in known:
        msg = f"{corpus!r} is none of {', '.join(known)}."
        raise click.BadParameter(msg, ctx, param_hint="CORPUS")
    write(known[corpus].published(modality="av"), sys.stdout)


def _check(found: "Manifest", known: "ExpectedContents") -> None:
    """Say what of a corpus is there."""
    from mmder_prep.corpora.check import check_corpus, show

    console = console_to(stderr=False)
    for note in found.warnings:
        console.print(note, highlight=False, markup=False)
    checked = check_corpus(found, known)
    show(checked, console)
    if not checked.whole:
        sys.exit(1)


def _build(
    found: "Manifest",
    modality: str,
    *,
    out: Path,
    step: str,
    no_face_crop: bool,
    workers: int,
    scheduler: str | None,
    device: str,
    shard_clips: int,
    max_failed: int,
    overwrite: bool,
) -> None:
    """Build a store and say what came of it."""
    from mmder_prep.pipeline.build import BuildOptions, build
    from mmder_store.settings import PrepSettings

    console = console_to(stderr=True)
    for note in found.warnings:
        console.print(note, highlight=False, markup=False)
    settings = PrepSettings(
        modality="audio" if modality == "audio" else "av",
        step_frames=step_frames(step),
        face_crop=not no_face_crop,
    )
    options = BuildOptions(
        workers=workers,
        scheduler=scheduler,
        device=device,
        overwrite=overwrite,
        shard_clips=shard_clips,
    )
    built = build(found, out, settings, options, console)
    counts = ", ".join(f"{status} {n}" for status, n in built.statuses.items())
    kept = (
        f", {built.kept} of {built.shards} shards were done before"
        if built.kept
        else ""
    )
    console.print(f"sealed {out} ({counts}{kept})", highlight=False)
    if built.unusable:
        click.echo(
            f"{built.unusable} clips lack picture or sound, or failed; "
            f"'mmder-prep inspect {out}' says why",
            err=True,
        )
    if built.unusable > max_failed:
        sys.exit(3)


@cli.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write the clips to.",
)
@click.option(
    "--actors",
    type=click.IntRange(1, 24),
    default=24,
    show_default=True,
    help="Speakers; each has one clip of each of eight emotions.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=os.cpu_count() or 1,
    show_default="one a core",
    help="Processes.",
)
def sample(out: Path, actors: int, seed: int, workers: int) -> None:
    """Generate a small corpus to try mmder with: RAVDESS in name and layout only.

    A portrait of public domain is made to talk with a synthesised voice. No number
    reached on it says anything about people.
    """
    from mmder_prep.synthetic.corpus import write_sample

    console = console_to(stderr=True)
    with console.status("writing clips") as status:

        def show(done: int, total: int) -> None:
            status.update(f"writing clips: {done} of {total}")

        made = write_sample(
            out, actors=actors, seed=seed, workers=workers, progress=show
        )
    console.print(
        f"{made.clips} generated clips in {made.root} "
        f"({made.written} written, {made.kept} there before)",
        highlight=False,
    )


def main() -> None:
    """Run the program; an error a user can act on is one line and exit code 1."""
    add_corpora()
    verbose = "-v" in sys.argv[1:] or "--verbose" in sys.argv[1:]
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.Abort:
        _stopped()
    except KeyboardInterrupt:
        _stopped()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        from mmder_store.errors import MmderError

        if verbose or not isinstance(error, MmderError):
            raise
        click.echo(f"mmder-prep: error: {error}", err=True)
        sys.exit(1)


def _stopped() -> None:
    click.echo(
        "mmder-prep: stopped; what is done is kept, the same command goes on", err=True
    )
    # At once: Dask's own leave-taking stumbles over workers that had not yet begun.
    os._exit(130)
