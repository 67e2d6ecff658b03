"""Comparison of a corpus copy with its published contents, without decoding media."""

import posixpath
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from mmder_prep.corpora.manifest import Manifest
from mmder_prep.corpora.published import ExpectedContents, count_clips

MAX_NAMES = 10
"""Maximum number of names to print per list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """Number of clips with one value in one column of the manifest."""

    column: str
    value: str
    found: int
    published: int
    """Published number of clips; 0 if unknown."""
    ok: bool
    """True if the number found agrees with the published one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """Result of comparing a corpus copy with its published contents."""

    clips: int
    """Number of clips found."""
    missing: tuple[str, ...]
    """Published clips that were not found."""
    unexpected: tuple[str, ...]
    """Clips that are not published, and media files that are not clips."""
    flawed: tuple[str, ...]
    """Clips with a missing, empty, encrypted or otherwise unusable file, and the
    reason; files and folders that cannot be accessed."""
    counts: tuple[Count, ...]
    """Number of clips per emotion and per speaker."""
    source: str
    """Source of the published contents."""
    advice: str = ""
    """Sentence on a more suitable ``--root``, if there is one."""

    @property
    def whole(self) -> bool:
        """True if no clip is missing, unexpected or flawed and all counts agree."""
        lists = (self.missing, self.unexpected, self.flawed)
        return not any(lists) and all(count.ok for count in self.counts)


def check_corpus(manifest: Manifest, published: ExpectedContents) -> CheckResult:
    """Compare the clips found of a corpus with its published contents."""
    found = {row.clip_id for row in manifest.rows}
    known = {row.clip_id for row in published.rows}
    unknown = sorted(found - known) if known else []
    return CheckResult(
        clips=len(found),
        missing=tuple(sorted(known - found)),
        unexpected=(*unknown, *manifest.unexpected_files),
        flawed=(*_flawed(manifest, published), *manifest.unreadable_files),
        counts=tuple(_counts(manifest, published)),
        source=published.source,
        advice=_root_advice(manifest),
    )


def _root_advice(manifest: Manifest) -> str:
    """Return advice if all clips are in one subfolder, and other media outside it."""
    folders = [posixpath.dirname(row.path) for row in manifest.rows]
    parts = posixpath.commonpath(folders).split("/") if folders else []
    zips = (i for i, part in enumerate(parts) if part.lower().endswith(".zip"))
    folder = "/".join(parts[: next(zips, len(parts))])
    outside = [p for p in manifest.unexpected_files if not p.startswith(f"{folder}/")]
    if not folder or not outside:
        return ""
    return (
        f"All clips are in {folder}, and {len(outside)} other media files are outside "
        f"it: pass --root {shlex.quote(str(manifest.root / folder))}"
    )


def _flawed(manifest: Manifest, published: ExpectedContents) -> Iterator[str]:
    """Yield one line per file that cannot be used."""
    for clip in manifest.clips():
        if clip.audio is None and published.separate_audio:
            yield f"{clip.clip_id}: no audio file"
        for prefix, source in (("", clip.source), ("audio file ", clip.audio)):
            if source is not None and (flaw := source.flaw()):
                yield f"{clip.clip_id}: {prefix}{flaw}"


def _counts(manifest: Manifest, published: ExpectedContents) -> Iterator[Count]:
    """Yield the number of clips per value, found and published."""
    counts = count_clips(manifest.rows)
    for column, values in published.counts.items():
        for value in sorted(values.keys() | counts[column].keys()):
            found, expected = counts[column].get(value, 0), values.get(value, 0)
            if published.exact:
                ok = found == expected
            else:
                # A published 0 means that the number is unknown, so any number of
                # clips but none is accepted. Values that are not listed are optional.
                ok = value not in values or 0 < found <= (expected or found)
            yield Count(
                column=column,
                value=value or "(none)",
                found=found,
                published=expected,
                ok=ok,
            )


def show(checked: CheckResult, console: Console) -> None:
    """Print the counts and the differences from the published contents."""
    table = Table("", "found", "published", "", title="clips")
    for count in checked.counts:
        if count.column == "emotion" or (count.found and not count.ok):
            table.add_row(
                f"{count.column} {count.value}",
                str(count.found),
                str(count.published or "some"),
                "" if count.ok else "differs",
            )
    console.print(table)
    speakers = [count for count in checked.counts if count.column == "speaker"]
    if speakers:
        ok = sum(count.ok for count in speakers)
        console.print(f"speakers as published: {ok} of {len(speakers)}")
    lists = {
        "missing speakers": [count.value for count in speakers if not count.found],
        "missing clips": checked.missing,
        "unexpected": checked.unexpected,
        "flawed": checked.flawed,
    }
    for title, names in lists.items():
        hidden = len(names) - MAX_NAMES
        more = f" and {hidden} more" if hidden > 0 else ""
        shown = f" ({', '.join(names[:MAX_NAMES])}{more})" if names else ""
        console.print(f"{title}: {len(names)}{shown}", markup=False, highlight=False)
    if checked.advice:
        console.print(checked.advice, markup=False, highlight=False)
    verdict = "as published" if checked.whole else "not as published"
    console.print(
        f"{checked.clips} clips, {verdict} ({checked.source}); no file was decoded",
        markup=False,
        highlight=False,
    )
