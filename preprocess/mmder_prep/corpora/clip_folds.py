"""Corpora whose publishers divide clips, not people, into folds.

Films and shows do not name the people of a clip, so the same person can be in training
and test. Each clip counts as a speaker of its own, and the protocol is marked: results
on it are printed as not speaker-independent.

The publisher's lists are read from the copy of the corpus, and are not part of mmder.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmder_prep.corpora.listing import (
    Listing,
    media_names,
    no_clips_error,
    read_lines,
    scan,
    skipped_warnings,
)
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents
from mmder_store.emotions import LabelSet
from mmder_store.errors import ManifestError
from mmder_store.protocols import FoldProtocol

ParseLine = Callable[[str], tuple[str, str] | None]
"""Function from a line of a list to a clip id and its emotion; None if the line has
another form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipLists:
    """The publisher's lists of training and test clips of each fold."""

    emotion: Mapping[str, str]
    """Emotion of each clip."""
    fold_of: Mapping[str, int]
    """Fold in which each clip is tested."""
    paths: frozenset[str]
    """Files of the lists, relative to the root."""

    @property
    def only_trained(self) -> tuple[str, ...]:
        """Clips that no fold tests."""
        return tuple(sorted(self.emotion.keys() - self.fold_of.keys()))


def read_clip_lists(
    root: Path, listing: Listing, *, name: "re.Pattern[str]", parse: ParseLine
) -> ClipLists:
    """Read the lists of a corpus.

    Args:
        root: Folder of the corpus.
        listing: Its files.
        name: Pattern of the path of a list, with the groups ``side`` (train or test)
            and ``fold``.
        parse: Function that reads a line. The first line may have another form.

    Raises:
        ManifestError: If a line has another form, if a clip has two emotions or is
            tested in two folds, or if it is trained on in the fold that tests it.
    """
    emotion: dict[str, str] = {}
    fold_of: dict[str, int] = {}
    trained: dict[str, set[int]] = {}
    paths = [path for path in listing.paths if name.fullmatch(path)]
    for path in paths:
        match = name.fullmatch(path)
        assert match is not None
        fold = int(match["fold"])
        for number, line in enumerate(read_lines(root, path), start=1):
            parsed = parse(line.strip())
            if parsed is None:
                if number > 1 and line.strip():
                    msg = (
                        f"{path}, line {number}: {line[:60]!r}: expected a clip and "
                        "its label"
                    )
                    raise ManifestError(msg)
                continue
            clip, label = parsed
            if emotion.setdefault(clip, label) != label:
                msg = (
                    f"{path}, line {number}: clip {clip} is {label}, and "
                    f"{emotion[clip]} in another list"
                )
                raise ManifestError(msg)
            if match["side"].lower() == "train":
                trained.setdefault(clip, set()).add(fold)
            elif fold_of.setdefault(clip, fold) != fold:
                msg = (
                    f"{path}, line {number}: clip {clip} is also tested in fold "
                    f"{fold_of[clip]}"
                )
                raise ManifestError(msg)
    for clip, fold in fold_of.items():
        if fold in trained.get(clip, ()):
            msg = f"clip {clip} is in the training and the test list of fold {fold}"
            raise ManifestError(msg)
    return ClipLists(emotion=emotion, fold_of=fold_of, paths=frozenset(paths))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipCorpus:
    """A corpus whose publisher divides clips into folds."""

    name: str
    """Name of the corpus command."""
    title: str
    """Name of the corpus in texts."""
    lists: re.Pattern[str]
    """Path of a list, with the groups ``side`` (train or test) and ``fold``."""
    parse: ParseLine
    """Function that reads a line of a list."""
    clip: re.Pattern[str]
    """Path of a clip, with the group ``number``."""
    wanted: str
    """Description of the expected files."""
    request: str
    """Sentence on how to get the corpus, without the full stop."""
    labels: LabelSet
    protocol: str
    """Name of the fold protocol."""
    source: str
    """Origin of the folds."""
    counts: Mapping[str, int]
    """Published number of clips of each emotion. The lists are not free to publish."""
    counts_source: str
    """Origin of these numbers."""

    def published(self, *, modality: str) -> ExpectedContents:
        """Return the number of clips per emotion; both modalities have all."""
        del modality
        return ExpectedContents(
            counts={"emotion": self.counts}, source=self.counts_source
        )

    def find(self, root: Path, *, modality: str) -> Manifest:
        """Return the listed clips that have a file under a folder.

        The audio of every clip is in its video file, also for ``--modality audio``.

        Raises:
            ManifestError: If there are no lists or no clips, or the lists contradict
                each other.
        """
        del modality
        listing = scan(root)
        lists = read_clip_lists(root, listing, name=self.lists, parse=self.parse)
        path_of: dict[str, str] = {}
        unexpected, duplicates = [], []
        for path in listing.paths:
            match = self.clip.fullmatch(path)
            if match is None:
                unexpected += media_names(path)
            elif path_of.setdefault(clip_name(match["number"]), path) != path:
                duplicates.append(path)
        rows = tuple(
            ManifestRow(clip_id=clip, path=path_of[clip], emotion=emotion, speaker=clip)
            for clip, emotion in sorted(lists.emotion.items())
            if clip in path_of
        )
        if not rows:
            state = f"{len(path_of)} clips and {len(lists.paths)} lists of sets"
            raise no_clips_error(
                root,
                listing,
                corpus=self.name,
                wanted=self.wanted,
                found=state if path_of or lists.paths else "",
                source=self.request,
            )
        found = f"{len(rows)} of {len(lists.emotion)} listed clips of {self.title}"
        unlisted = sorted(path_of.keys() - lists.emotion.keys())
        return Manifest(
            corpus=self.name,
            root=root,
            rows=rows,
            label_sets=(self.labels,),
            protocols=(self._protocol(lists, [row.clip_id for row in rows]),),
            warnings=(
                f"{found} found in {root}",
                *(
                    [f"{len(unlisted)} clips are in no list, the first {unlisted[0]}"]
                    if unlisted
                    else []
                ),
                *skipped_warnings(
                    self.title, listing, unexpected=unexpected, duplicates=duplicates
                ),
            ),
            unexpected_files=tuple(unexpected),
            unreadable_files=listing.unreadable,
        )

    def _protocol(self, lists: ClipLists, clips: Sequence[str]) -> FoldProtocol:
        """Return the folds of the clips that were found, marked as such."""
        found = set(clips)
        return FoldProtocol(
            name=self.protocol,
            fold_of={c: k for c, k in sorted(lists.fold_of.items()) if c in found},
            only_trained=tuple(c for c in lists.only_trained if c in found),
            source=self.source,
            speakers="unknown",
        )


def clip_name(number: str) -> str:
    """Return the name of a clip: its number with five digits."""
    return f"{int(number):05d}"
