"""SAVEE: four men, seven emotions, 480 clips.

The Surrey Audio-Visual Expressed Emotion database (Haq and Jackson, 2009), for research
after registration. Each speaker has 15 sentences per emotion and 30 neutral ones. The
clips last 1.6 to 7.1 s.

Layout: one folder per speaker (DC, JE, JK, KL) with files such as ``a01.wav`` or
``sa15.avi``: the emotion and the number of the sentence. Copies on the web put the
speaker into the name, as in ``DC_a01.wav``. The layout of the audio-visual release
could not be checked with a copy of it; folders above the speaker do not matter.

Only four speakers, all men: the results of the four folds vary widely. Markers are
painted on their faces.
"""

import re
from pathlib import Path

from mmder_prep.corpora.listing import (
    media_names,
    no_clips_error,
    other_modality_advice,
    scan,
    skipped_warnings,
)
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS

EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
SENTENCES = {code: 30 if code == "n" else 15 for code in EMOTIONS}
"""Number of sentences per speaker and emotion."""
CLIP_PATH = re.compile(
    r"(?:.*[/ ])?(?P<speaker>DC|JE|JK|KL)[/_](?P<emotion>sa|su|[adfhn])"
    r"(?P<number>\d{1,2})\.(?P<suffix>avi|mp4|wav)",
    re.IGNORECASE,
)
SUFFIXES = {"av": ("avi", "mp4"), "audio": ("wav",)}


def find(root: Path, *, modality: str) -> Manifest:
    """Return the clips under a folder.

    Raises:
        ManifestError: If there are no clips.
    """
    rows: dict[str, ManifestRow] = {}
    unexpected, duplicates, others = [], [], 0
    listing = scan(root)
    # The root may be the folder of one speaker.
    parent = root.resolve().name
    for path in listing.paths:
        match = CLIP_PATH.fullmatch(f"{parent}/{path}")
        if match is None or not 1 <= int(match["number"]) <= _sentences(match):
            unexpected += media_names(path)
            continue
        if match["suffix"].lower() not in SUFFIXES[modality]:
            others += 1
            continue
        speaker, emotion = match["speaker"].upper(), match["emotion"].lower()
        clip_id = f"{speaker}_{emotion}{int(match['number']):02d}"
        if clip_id in rows:
            duplicates.append(path)
            continue
        rows[clip_id] = ManifestRow(
            clip_id=clip_id, path=path, emotion=EMOTIONS[emotion], speaker=speaker
        )
    if not rows:
        raise no_clips_error(
            root,
            listing,
            corpus="savee",
            wanted=f"file DC/a01.{SUFFIXES[modality][0]} or alike",
            found=f"{others} clips of the other modality" if others else "",
            advice=other_modality_advice(modality, others),
            source="Register for SAVEE at the University of Surrey, unpack it",
        )
    return Manifest(
        corpus="savee",
        root=root,
        rows=tuple(row for _, row in sorted(rows.items())),
        label_sets=(LABEL_SETS["savee-7"],),
        protocols=(PROTOCOLS["savee-speakers-4"],),
        warnings=(
            f"{len(rows)} of 480 clips of SAVEE found in {root}",
            *skipped_warnings(
                "SAVEE", listing, unexpected=unexpected, duplicates=duplicates
            ),
        ),
        unexpected_files=tuple(unexpected),
        unreadable_files=listing.unreadable,
    )


def _sentences(match: "re.Match[str]") -> int:
    """Return the number of sentences of the emotion in a path."""
    return SENTENCES[match["emotion"].lower()]


def published(*, modality: str) -> ExpectedContents:
    """Return the number of clips per emotion and speaker; both modalities have all."""
    del modality
    speakers = PROTOCOLS["savee-speakers-4"].fold_of
    return ExpectedContents(
        counts={
            "emotion": {
                emotion: len(speakers) * SENTENCES[code]
                for code, emotion in EMOTIONS.items()
            },
            "speaker": dict.fromkeys(speakers, sum(SENTENCES.values())),
        },
        source="the description of SAVEE: 120 clips of each of four speakers",
    )
