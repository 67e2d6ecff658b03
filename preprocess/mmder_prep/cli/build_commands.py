"""Commands that make a store: one per corpus, and one for any manifest."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mmder_cli.program import LocalPath
from mmder_prep.cli.ignored_options import refuse_ignored_options
from mmder_prep.cli.next_command import show_next
from mmder_prep.cli.options import (
    BUILD_OPTIONS,
    CORPORA,
    INPUT,
    PLAN_OPTIONS,
    Decorator,
    modality_option,
    out_option,
    step_frames,
    step_option,
    verbose_option,
    with_options,
)
from mmder_prep.cli.stop_signals import end_on_signals
from mmder_prep.cli.store_commands import console_to

if TYPE_CHECKING:
    from rich.console import Console

    from mmder_prep.corpora import Corpus
    from mmder_prep.corpora.manifest import Manifest
    from mmder_prep.corpora.published import ExpectedContents
    from mmder_prep.pipeline.build import BuildSummary
    from mmder_store.settings import PrepSettings

STORE_TEXT = "Folder of the store to make or to resume."
MANIFEST_TEXT = """Your own footage, listed in a CSV file.

Required columns: clip_id, path, emotion, speaker. Optional columns: start_s, stop_s
(seconds from the start of the file), crop (left, right, or "left top right bottom" in
pixels), sound (another file to read the audio from), sound_at_s (time at which that
file starts), fold (from 1; the same for all clips of a speaker), rated_voice,
rated_face, rated_both (emotions perceived by raters) and note.

The separator, the text encoding, the case of column names and usual spellings of
emotions are recognized. All problems of the file are reported at once. 'mmder-prep
list' writes a draft of the file."""


Action = Callable[..., None]
"""Function of a manifest, a modality and the options of a command."""


def corpus_command(corpus: "Corpus", action: Action | None = None) -> click.RichCommand:
    """Return the command of a corpus, made from its row of the table.

    Args:
        corpus: Row of the table.
        action: Function that is called with the clips. None builds a store.
    """
    act = action or _build
    own = [option.name for option in corpus.options]

    def command(
        root: Path,
        modality: str,
        check: bool,
        out: Path | None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        refuse_ignored_options()
        selected = {name: options.pop(name) for name in own}
        if check:
            found = corpus.find(root, modality=modality, **selected)
            _check(found, corpus.published(modality=modality, **selected))
            show_next(*_words(corpus.name, root, modality, selected), "--out", "STORE")
        elif out is None:
            msg = "Missing option '--out'."
            raise click.UsageError(msg)
        else:
            found = corpus.find(root, modality=modality, **selected)
            act(found, modality, out=out, **options)

    with_help = with_options(
        (
            click.option(
                "--root",
                type=LocalPath(),
                default=corpus.root,
                show_default=True,
                envvar=corpus.root_variable,
                show_envvar=True,
                help="Folder that contains the corpus.",
                panel=INPUT,
            ),
            click.option(
                "--check",
                is_flag=True,
                help="Make no store. Compare names, sizes and counts with what is "
                "published; the exit code is 1 if they differ.",
                panel=INPUT,
            ),
            *_selection_options(corpus),
            step_option(corpus.step),
            out_option(STORE_TEXT),
            *(BUILD_OPTIONS if action is None else PLAN_OPTIONS),
        )
    )(command)
    text = f"{corpus.title}\n\nZip archives are read without unpacking them."
    return click.command(corpus.name, help=text, panel=CORPORA)(with_help)


def _words(
    name: str, root: Path, modality: str, selected: Mapping[str, object]
) -> list[object]:
    """Return the words of a corpus command that select the same clips."""
    words: list[object] = ["mmder-prep", name, "--root", root]
    for option, value in {"modality": modality, **selected}.items():
        if value is not False:
            words.append("--" + option.replace("_", "-"))
            words += [] if value is True else [value]
    return words


def _selection_options(corpus: "Corpus") -> list[Decorator]:
    """Return the options that select clips of a corpus."""
    options = [modality_option("Audio-visual files, or the audio-only files.")]
    for option in corpus.options:
        name = "--" + option.name.replace("_", "-")
        if option.choices:
            options.append(
                click.option(
                    name,
                    type=click.Choice(option.choices),
                    default=option.choices[0],
                    show_default=True,
                    help=option.help,
                    panel=INPUT,
                )
            )
        else:
            options.append(
                click.option(name, is_flag=True, help=option.help, panel=INPUT)
            )
    return options


def manifest_command(action: Action | None = None) -> click.RichCommand:
    """Return the command for clips that are listed in a CSV file.

    Args:
        action: Function that is called with the clips. None builds a store.
    """
    act = action or _build

    def command(
        file: Path,
        root: Path | None,
        label_map: Path | None,
        modality: str,
        **options: Any,  # noqa: ANN401
    ) -> None:
        from mmder_prep.corpora.label_map import read_label_map
        from mmder_prep.corpora.manifest_file import read_manifest

        refuse_ignored_options()
        labels = None if label_map is None else read_label_map(label_map)
        act(read_manifest(file, root=root, label_map=labels), modality, **options)

    with_help = with_options(
        (
            click.argument("file", type=LocalPath()),
            click.option(
                "--root",
                type=LocalPath(),
                default=None,
                show_default="the folder of FILE",
                help="Folder that paths are relative to and must not leave.",
                panel=INPUT,
            ),
            click.option(
                "--label-map",
                metavar="FILE",
                type=LocalPath(),
                help="CSV file with the columns label and emotion, for other words and "
                "for classes of your own.",
                panel=INPUT,
            ),
            modality_option("Video and audio, or audio only."),
            step_option("6"),
            out_option(STORE_TEXT, required=True),
            *(BUILD_OPTIONS if action is None else PLAN_OPTIONS),
        )
    )(command)
    return click.command("manifest", help=MANIFEST_TEXT, panel=CORPORA)(with_help)


@click.command("list", panel=CORPORA)
@click.argument("folder", type=LocalPath())
@out_option("CSV file to write; an existing one is never replaced.", required=True)
@verbose_option
def list_clips(folder: Path, out: Path) -> None:
    """Draft a CSV file of your own footage, with one line per media file.

    Folders below FOLDER and zip archives are searched. Fill in the columns emotion
    (may stay empty) and speaker, then run 'mmder-prep manifest'.
    """
    from mmder_prep.corpora.draft import write_draft

    draft, console = write_draft(folder, out), console_to(stderr=True)
    for warning in draft.warnings:
        console.print(warning, highlight=False, markup=False)
    console.print(
        f"{draft.clips} clips in {out}. Fill in the columns emotion and speaker, then "
        f"run: {draft.next_command}",
        highlight=False,
        markup=False,
    )


def _check(found: "Manifest", expected: "ExpectedContents") -> None:
    """Print a comparison of a corpus copy with its published contents."""
    from mmder_prep.corpora.check import check_corpus, show

    console = console_to(stderr=False)
    for warning in found.warnings:
        console.print(warning, highlight=False, markup=False)
    result = check_corpus(found, expected)
    show(result, console)
    if not result.whole:
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
    """Build a store and print a summary."""
    from mmder_prep.pipeline.build import build
    from mmder_prep.pipeline.plan import BuildOptions

    console, settings = _start(found, modality, out, step, no_face_crop)
    options = BuildOptions(
        workers=workers,
        scheduler=scheduler,
        device=device,
        overwrite=overwrite,
        shard_clips=shard_clips,
    )
    with end_on_signals():
        summary = build(found, out, settings, options, console)
    show_summary(out, summary, console, max_failed=max_failed)


def start_plan(
    found: "Manifest",
    modality: str,
    *,
    out: Path,
    step: str,
    no_face_crop: bool,
    device: str,
    shard_clips: int,
    overwrite: bool,
) -> None:
    """Write a plan into a store and print its number of shards."""
    from mmder_prep.pipeline.build import plan_only
    from mmder_prep.pipeline.parts import format_shards
    from mmder_prep.pipeline.plan import BuildOptions

    console, settings = _start(found, modality, out, step, no_face_crop)
    options = BuildOptions(
        workers=1, device=device, overwrite=overwrite, shard_clips=shard_clips
    )
    planned = plan_only(found, out, settings, options, console)
    if planned.sha256 is not None:
        console.print(f"{out} is sealed and up to date", highlight=False, markup=False)
        show_next("mmder-prep", "report", out)
        return
    todo = [job.shard for job in planned.todo]
    clips = sum(len(job.clips) for job in planned.todo)
    console.print(
        f"{out}: {len(planned.jobs)} shards, of which {len(todo)} with {clips} clips "
        f"are to be prepared ({format_shards(todo) or 'none'})",
        highlight=False,
        markup=False,
    )
    show_next("mmder-prep", "work" if todo else "seal", out)


def _start(
    found: "Manifest", modality: str, out: Path, step: str, no_face_crop: bool
) -> tuple["Console", "PrepSettings"]:
    """Check the output folder, print the warnings, and return console and settings."""
    from mmder_cli.output_folder import check_output_folder
    from mmder_store.settings import PrepSettings

    check_output_folder(out)
    console = console_to(stderr=True)
    for warning in found.warnings:
        console.print(warning, highlight=False, markup=False)
    settings = PrepSettings(
        modality="audio" if modality == "audio" else "av",
        step_frames=step_frames(step),
        face_crop=not no_face_crop,
    )
    return console, settings


def show_summary(
    out: Path, summary: "BuildSummary", console: "Console", *, max_failed: int
) -> None:
    """Print the summary of a sealed store; exit with code 3 if too many clips failed.

    Args:
        out: The store.
        summary: Its summary.
        console: Console to print to.
        max_failed: Number of clips that may lack video or audio.
    """
    from mmder_prep.quality.coverage import coverage
    from mmder_store import Store

    counts = ", ".join(f"{status} {n}" for status, n in summary.statuses.items())
    kept = (
        f", {summary.kept} of {summary.shards} shards were already done"
        if summary.kept
        else ""
    )
    console.print(f"sealed {out} ({counts}{kept})", highlight=False, markup=False)
    if summary.unusable:
        click.echo(
            f"{summary.unusable} clips lack video or audio, or failed; "
            f"'mmder-prep inspect {out}' shows the reasons",
            err=True,
        )
    store = Store(out)
    covered = coverage(store.columns, store.spec.settings)
    if covered.line:
        click.echo(f"{covered.line}. {covered.advice}.", err=True)
    if summary.unusable > max_failed:
        sys.exit(3)
    show_next("mmder-prep", "report", out)
