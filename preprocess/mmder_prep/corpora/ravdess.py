"""RAVDESS: 24 actors, two sentences, eight emotions, two intensities.

The Ryerson Audio-Visual Database of Emotional Speech and Song, Zenodo record 1188976,
CC BY-NC-SA 4.0. Speech: 60 clips per actor, 1,440 in total (neutral 96, others 192).

Layout of the release: ``Video_Speech_Actor_01.zip`` to ``_24.zip`` and
``Audio_Speech_Actors_01-24.zip``, each with ``Actor_XX/`` folders. Files are named
``modality-channel-emotion-intensity-statement-repetition-actor``:

    modality  01 video with audio, 02 the same video mute, 03 the same audio only
    channel   01 speech, 02 song
    emotion   01 neutral .. 08 surprised
    actor     01 to 24, odd is male

The video archives contain every clip twice, with audio (01) and mute (02). A store must
hold only one of the three modalities, or the same performance would be counted twice.
Clips last 2.9 to 5.3 s at 29.97 frames per second, so the paper's step of 6 fits.
"""

import itertools
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
from mmder_prep.corpora.published import ExpectedContents, expected_from_rows
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS

NUM_CLIPS = 1440
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
MODALITY = {"av": "01", "audio": "03"}
SUFFIX = {"av": ("mp4",), "audio": ("wav", "flac")}
NAME = re.compile(
    r"(?P<modality>0[123])-(?P<channel>0[12])-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]"
    r"-(?P<actor>0[1-9]|1\d|2[0-4])\.(?P<suffix>mp4|wav|flac)",
    re.IGNORECASE,
)


def find(root: Path, *, modality: str) -> Manifest:
    """Return the speech clips under a folder, unpacked or inside the archives.

    Raises:
        ManifestError: If there are no clips; names the folder and its contents.
    """
    code = MODALITY[modality]
    rows: dict[str, ManifestRow] = {}
    unexpected, duplicates, others, other_modality = [], [], 0, 0
    listing = scan(root)
    for path in listing.paths:
        name = path.rsplit("/", 1)[-1]
        match = NAME.fullmatch(name)
        if match is None:
            unexpected += media_names(path)
            continue
        suffix_fits = match["suffix"].lower() in SUFFIX[modality]
        if not suffix_fits or (match["modality"], match["channel"]) != (code, "01"):
            others += 1
            other_modality += _is_other_modality(match, modality)
            continue
        clip_id = name.rsplit(".", 1)[0]
        if clip_id in rows:
            duplicates.append(path)
            continue
        rows[clip_id] = ManifestRow(
            clip_id=clip_id,
            path=path,
            emotion=EMOTIONS[match["emotion"]],
            speaker=match["actor"],
        )
    if not rows:
        kind = "Audio_Speech_Actors_01-24" if code == "03" else "Video_Speech_Actor_*"
        raise no_clips_error(
            root,
            listing,
            corpus="ravdess",
            wanted=f"clip {code}-01-*",
            found=f"{others} other files of RAVDESS" if others else "",
            advice=other_modality_advice(modality, other_modality),
            source=f"Download {kind}.zip from Zenodo record 1188976 (unpacking is "
            "optional)",
        )
    return Manifest(
        corpus="ravdess",
        root=root,
        rows=tuple(sorted(rows.values(), key=lambda row: (row.speaker, row.clip_id))),
        label_sets=(LABEL_SETS["ravdess-7"], LABEL_SETS["ravdess-8"]),
        protocols=tuple(p for p in PROTOCOLS.values() if p.name.startswith("ravdess")),
        warnings=(
            f"{len(rows)} of {NUM_CLIPS} clips of RAVDESS found in {root}",
            *skipped_warnings(
                "RAVDESS", listing, unexpected=unexpected, duplicates=duplicates
            ),
        ),
        unexpected_files=tuple(unexpected),
        unreadable_files=listing.unreadable,
    )


def _is_other_modality(match: "re.Match[str]", modality: str) -> bool:
    """Return whether a file is a speech clip for another value of ``--modality``."""
    other = "audio" if modality == "av" else "av"
    return match["suffix"].lower() in SUFFIX[other] and (
        match["modality"],
        match["channel"],
    ) == (MODALITY[other], "01")


def published(*, modality: str) -> ExpectedContents:
    """Return the 1,440 speech clips: all combinations except a strong neutral."""
    code, suffix = MODALITY[modality], "mp4" if modality == "av" else "wav"
    fold_of = PROTOCOLS["ravdess-contiguous-6"].fold_of
    two = ("01", "02")
    rows = [
        ManifestRow(
            clip_id=(clip_id := f"{code}-01-{emotion}-{'-'.join(rest)}-{actor}"),
            path=f"Actor_{actor}/{clip_id}.{suffix}",
            emotion=EMOTIONS[emotion],
            speaker=actor,
            fold=fold_of[actor],
        )
        for actor in fold_of
        for emotion in EMOTIONS
        for rest in itertools.product(two, two, two)
        if (emotion, rest[0]) != ("01", "02")
    ]
    return expected_from_rows(
        rows, source="Zenodo record 1188976; folds of MAE-DFER and HiCMAE"
    )
