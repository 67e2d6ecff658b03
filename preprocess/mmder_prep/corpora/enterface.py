"""eNTERFACE'05: some 1,260 clips of up to 44 speakers, six emotions, no neutral.

The eNTERFACE'05 audio-visual emotion database (Martin et al., 2006), free for research.
Each speaker reacts to six situations with five English sentences each. The audio is in
the avi files, with 48 kHz. Clips last 1.1 to 107 s.

Layout of the release: ``subject 1/anger/sentence 1/s1_an_1.avi``. Known problems, and
how they are handled:

- Copies differ: the publication has 42 speakers and 1,166 clips, EmoBox lists 1,263
  clips of 43 speakers without number 12, and other copies have 1,293 of 44. Counts are
  therefore upper bounds.
- Some file names have the number of another speaker (``s_3_an_1.avi``), and some
  speakers lack the folders of the sentences. The speaker and the emotion are taken from
  the folders if there are any, and from the file name otherwise. This could not be
  checked with a copy of the release.
- No folds without shared speakers are published (EmoBox has all speakers in training
  and test). ``enterface-speakers-5`` assigns the speakers to five folds in turn, in the
  order of the SHA-256 of ``0:`` and the name.
"""

import re
from pathlib import Path

from mmder_prep.corpora.listing import (
    media_names,
    no_clips_error,
    scan,
    skipped_warnings,
)
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import ENTERFACE_SPEAKERS, PROTOCOLS

EMOTIONS = {
    "an": "angry",
    "di": "disgust",
    "fe": "fearful",
    "ha": "happy",
    "sa": "sad",
    "su": "surprised",
}
"""Emotion by the first two letters of its folder, which are its code in file names."""
FOLDERS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
SUFFIXES = ("avi", "mp4")
IN_FOLDERS = re.compile(
    r"(?:.*/)?subject[ _-]?(?P<subject>\d{1,2})/(?P<emotion>" + "|".join(FOLDERS) + ")"
    r"/(?:sentence[ _-]?(?P<sentence>[1-5])(?:/[^/]*)?|[^/]*_(?P<number>[1-5]))"
    r"\.(?:avi|mp4)",
    re.IGNORECASE,
)
"""Path of a clip in the folders of the release."""
IN_NAME = re.compile(
    r"(?:.*/)?s_?(?P<subject>\d{1,2})_(?P<emotion>an|di|fe|ha|sa|su)_(?P<number>[1-5])"
    r"\.(?:avi|mp4)",
    re.IGNORECASE,
)
"""Path of a clip outside them, named after its speaker, emotion and sentence."""


def find(root: Path, *, modality: str) -> Manifest:
    """Return the clips under a folder.

    The audio of every clip is in its video file, also for ``--modality audio``.

    Raises:
        ManifestError: If there are no clips.
    """
    del modality
    rows: dict[str, ManifestRow] = {}
    unexpected, duplicates = [], []
    # The root may be the folder of one speaker, or a subfolder of it.
    absolute_root = str(root.resolve()).replace("\\", "/")
    listing = scan(root)
    for path in listing.paths:
        row = _row(path, f"{absolute_root}/{path}")
        if row is None:
            unexpected += media_names(path)
        elif row.clip_id in rows:
            duplicates.append(path)
        else:
            rows[row.clip_id] = row
    if not rows:
        raise no_clips_error(
            root,
            listing,
            corpus="enterface",
            wanted="file subject N/EMOTION/sentence K/sN_EE_K.avi",
            source="Download the eNTERFACE'05 emotion database, unpack it",
        )
    speakers = {row.speaker for row in rows.values()}
    return Manifest(
        corpus="enterface",
        root=root,
        rows=tuple(row for _, row in sorted(rows.items())),
        label_sets=(LABEL_SETS["enterface-6"],),
        protocols=(PROTOCOLS["enterface-speakers-5"],),
        warnings=(
            f"{len(rows)} clips of {len(speakers)} speakers of eNTERFACE'05 found in "
            f"{root}",
            *skipped_warnings(
                "eNTERFACE'05", listing, unexpected=unexpected, duplicates=duplicates
            ),
        ),
        unexpected_files=tuple(unexpected),
        unreadable_files=listing.unreadable,
    )


def _row(path: str, absolute: str) -> ManifestRow | None:
    """Return the row of a file, or None if it is not a clip of the corpus."""
    match = IN_FOLDERS.fullmatch(absolute) or IN_NAME.fullmatch(path)
    if match is None:
        return None
    groups = match.groupdict()
    speaker = f"s{int(match['subject']):02d}"
    code = match["emotion"][:2].lower()
    sentence = groups.get("sentence") or groups["number"]
    if speaker not in ENTERFACE_SPEAKERS:
        return None
    return ManifestRow(
        clip_id=f"{speaker}_{code}_{sentence}",
        path=path,
        emotion=EMOTIONS[code],
        speaker=speaker,
    )


def published(*, modality: str) -> ExpectedContents:
    """Return upper bounds of the number of clips per emotion."""
    del modality
    return ExpectedContents(
        counts={
            "emotion": {e: 213 if e == "happy" else 216 for e in EMOTIONS.values()},
            "speaker": dict.fromkeys(ENTERFACE_SPEAKERS, 0),
        },
        source="the largest copy described, 1,293 clips of 44 speakers; EmoBox lists "
        "1,263",
        exact=False,
    )
