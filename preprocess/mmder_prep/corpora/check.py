"""Is a copy of a corpus whole? Names and sizes against what is published, undecoded."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from mmder_prep.corpora.manifest import Manifest
from mmder_prep.corpora.published import ExpectedContents, counted

MAX_NAMES = 10
"""Names printed of each list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """Clips of one value of a column."""

    column: str
    value: str
    found: int
    published: int
    good: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What of a corpus is there."""

    clips: int
    missing: tuple[str, ...]
    """Clips that are published and not there."""
    unexpected: tuple[str, ...]
    """Clips that are there and not published, and media files that are no clips."""
    flawed: tuple[str, ...]
    """Clips with a file that is absent, empty, or a git-lfs pointer, and which."""
    counts: tuple[Count, ...]
    source: str

    @property
    def whole(self) -> bool:
        """Tell whether nothing is missing, strange or flawed."""
        lists = (self.missing, self.unexpected, self.flawed)
        return not any(lists) and all(count.good for count in self.counts)


def check_corpus(manifest: Manifest, published: ExpectedContents) -> CheckResult:
    """Compare what was found of a corpus with what is published."""
    there = {row.clip_id for row in manifest.rows}
    known = {row.clip_id for row in published.rows}
    strange = sorted(there - known) if known else []
    return CheckResult(
        clips=len(there),
        missing=tuple(sorted(known - there)),
        unexpected=(*strange, *manifest.strays),
        flawed=tuple(_flawed(manifest, published)),
        counts=tuple(_counts(manifest, published)),
        source=published.source,
    )


def _flawed(manifest: Manifest, published: ExpectedContents) -> Iterator[str]:
    for clip in manifest.clips():
        if clip.audio is None and published.separate_audio:
            yield f"{clip.clip_id}: no sound file"
        for what, source in (("", clip.source), ("sound ", clip.audio)):
            if source is not None and (flaw := source.flaw()):
                yield f"{clip.clip_id}: {what}{flaw}"


def _counts(manifest: Manifest, published: ExpectedContents) -> Iterator[Count]:
    found = counted(manifest.rows)
    for column, values in published.counts.items():
        for value in sorted(values.keys() | found[column].keys()):
            here, there = found[column].get(value, 0), values.get(value, 0)
            if published.exact:
                good = here == there
            else:  # 0 for who was never counted; who is not listed may be there or not
                good = value not in values or 0 < here <= (there or here)
            yield Count(
                column=column,
                value=value or "(none)",
                found=here,
                published=there,
                good=good,
            )


def show(checked: CheckResult, console: Console) -> None:
    """Print what was compared, and what is not as published."""
    table = Table("", "found", "published", "", title="clips")
    absent = [c.value for c in checked.counts if c.column == "speaker" and not c.found]
    for count in checked.counts:
        if count.column == "emotion" or (count.found and not count.good):
            table.add_row(
                f"{count.column} {count.value}",
                str(count.found),
                str(count.published or "some"),
                "" if count.good else "differs",
            )
    console.print(table)
    speakers = [count for count in checked.counts if count.column == "speaker"]
    if speakers:
        good = sum(count.good for count in speakers)
        console.print(f"speakers as published {good} of {len(speakers)}")
    lists = {
        "speakers not there": absent,
        "clips missing": checked.missing,
        "unexpected": checked.unexpected,
        "flawed": checked.flawed,
    }
    for what, names in lists.items():
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        shown = f": {', '.join(names[:MAX_NAMES])}{more}" if names else ""
        console.print(f"{what} {len(names)}{shown}", markup=False, highlight=False)
    verdict = "as published" if checked.whole else "not as published"
    console.print(
        f"{checked.clips} clips, {verdict} ({checked.source}); no file was decoded",
        markup=False,
        highlight=False,
    )
