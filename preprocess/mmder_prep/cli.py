"""`mmder-prep`: the edge to the user. Heavy things are imported where they are used."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from mmder_prep.corpora import Corpus
    from mmder_prep.manifest import Manifest

Command = TypeVar("Command", bound=Callable[..., Any])

OUT = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the store to make, or to go on with.",
)
BUILD_OPTIONS = (
    OUT,
    click.option(
        "--step",
        default="6",
        show_default=True,
        metavar="FRAMES|auto",
        help="Step of the 16 frames, in frames at 30 per second; the step of the 8 "
        "frames is twice that. 'auto' spreads the frames over each clip.",
    ),
    click.option(
        "--no-face-crop",
        is_flag=True,
        help="Take the centre square of the picture; look for no face.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        default=os.cpu_count() or 1,
        show_default="one a core",
        help="Processes, of one thread each.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Join a running Dask cluster instead of starting workers here.",
    ),
    click.option(
        "--device",
        default="cpu",
        show_default=True,
        help="Where faces are detected: cpu, cuda, cuda:1.",
    ),
    click.option(
        "--shard-clips",
        type=click.IntRange(1, 4096),
        default=16,
        show_default=True,
        help="Clips in one shard, which is one job and one file an array.",
    ),
    click.option(
        "--max-failed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Clips that may lack picture or sound before the exit code is 3. The "
        "store is sealed either way.",
    ),
    click.option("--overwrite", is_flag=True, help="Remove the store at --out first."),
)


def with_options(
    options: tuple[Callable[[Any], Any], ...],
) -> Callable[[Command], Command]:
    """Give a command a list of options, in the order they are listed."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mmder", prog_name="mmder-prep")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
def cli(verbose: bool) -> None:
    """Turn a corpus of talking-face clips into an aligned, sharded store.

    One of the corpora below, or any footage through a manifest. A run that is
    stopped goes on where it was; a finished one does nothing the second time.
    """


def _corpus_command(corpus: "Corpus") -> click.Command:
    """Make the command of a corpus from its row of the table."""

    def command(root: Path, modality: str, **options: Any) -> None:  # noqa: ANN401
        _build(corpus.find(root, modality=modality), modality, **options)

    help_text = (
        f"{corpus.title}\n\nUnpacked or still in the publisher's zip files, which are "
        "read without unpacking."
    )
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
            click.option(
                "--modality",
                type=click.Choice(corpus.modalities),
                default=corpus.modalities[0],
                show_default=True,
                help="Picture and sound, or the takes of sound alone.",
            ),
            *BUILD_OPTIONS,
        )
    )(command)
    return click.command(corpus.name, help=help_text)(described)


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
@with_options(BUILD_OPTIONS)
def manifest(file: Path, root: Path | None, modality: str, **options: Any) -> None:  # noqa: ANN401
    """Any footage, listed in a CSV file.

    Columns: clip_id, path, emotion, speaker; and where wanted start_s, stop_s (seconds
    from the start of the file), crop (left, right, or "left top right bottom" in
    pixels) and fold (from 1; the same for all clips of a speaker).
    """
    from mmder_prep.manifest import read_manifest

    _build(read_manifest(file, root=root), modality, **options)


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
    from mmder_prep.build import BuildOptions, build
    from mmder_store.settings import PrepSettings

    console = _console()
    for note in found.notes:
        console.print(note, highlight=False)
    settings = PrepSettings(
        modality="audio" if modality == "audio" else "av",
        step_frames=_step(step),
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


def _step(text: str) -> float | None:
    from mmder_store.errors import SettingsError

    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        msg = (
            f"--step {text!r}: expected a number of frames at 30 per second, or 'auto'"
        )
        raise SettingsError(msg) from error


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
    from mmder_prep.sample import write_sample

    console = _console()
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


@cli.command()
@click.argument("store", type=click.Path(path_type=Path))
def inspect(store: Path) -> None:
    """Show what is in a sealed store: settings, counts, sizes, what went wrong."""
    from mmder_prep.inspect import show
    from mmder_store.store import Store

    show(Store(store), _console(stderr=False))


@cli.command()
@click.argument("store", type=click.Path(path_type=Path))
def verify(store: Path) -> None:
    """Read every shard of a store and compare it with ledger and settings."""
    from mmder_prep.verify import problems
    from mmder_store.store import Store

    opened = Store(store)
    count = 0
    for count, problem in enumerate(problems(opened), start=1):  # noqa: B007
        click.echo(problem)
    if count:
        click.echo(f"{store}: {count} problems", err=True)
        sys.exit(1)
    click.echo(f"{store}: {len(opened)} clips, every array as it was written")


def _console(*, stderr: bool = True) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True)


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
    sys.exit(130)
