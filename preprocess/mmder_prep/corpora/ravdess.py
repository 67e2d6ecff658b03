"""RAVDESS: 24 actors, two sentences, eight emotions, two intensities.

The Ryerson Audio-Visual Database of Emotional Speech and Song, Zenodo record 1188976,
CC BY-NC-SA 4.0. Speech: 60 takes an actor, 1,440 in all (neutral 96, others 192).

As shipped: ``Video_Speech_Actor_01.zip`` to ``_24.zip`` and
``Audio_Speech_Actors_01-24.zip``, each of ``Actor_XX/`` folders, with files named
``modality-channel-emotion-intensity-statement-repetition-actor``:

    modality  01 picture and sound, 02 the same picture mute, 03 the same sound alone
    channel   01 speech, 02 song
    emotion   01 neutral .. 08 surprised
    actor     01 to 24, odd is male

The video archives hold every take twice, with sound (01) and mute (02): only one of
the three forms of a take may be in a store, or a speaker's take is counted again.
Takes are 2.9 to 5.3 s long at 29.97 frames a second, so the paper's step of 6 fits.
"""

import itertools
import re
from pathlib import Path

from mmder_prep.corpora.listing import files, left_out, nothing, stray
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents, listed
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS

TAKES = 1440
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
    """List the speech takes under a folder, unpacked or still in their archives.

    Raises:
        ManifestError: If there is none, with where it looked and what is there.
    """
    want = MODALITY[modality]
    found: dict[str, ManifestRow] = {}
    strays, twice, others = [], [], 0
    for path in files(root):
        name = path.rsplit("/", 1)[-1]
        match = NAME.fullmatch(name)
        if match is None:
            strays += stray(path)
            continue
        suits = match["suffix"].lower() in SUFFIX[modality]
        if not suits or (match["modality"], match["channel"]) != (want, "01"):
            others += 1
            continue
        clip_id = name.rsplit(".", 1)[0]
        if clip_id in found:
            twice.append(path)
            continue
        found[clip_id] = ManifestRow(
            clip_id=clip_id,
            path=path,
            emotion=EMOTIONS[match["emotion"]],
            speaker=match["actor"],
        )
    if not found:
        kind = "Audio_Speech_Actors_01-24" if want == "03" else "Video_Speech_Actor_*"
        raise nothing(
            root,
            corpus="ravdess",
            wanted=f"take {want}-01-*",
            known=f"{others} other files of RAVDESS are there" if others else "",
            way=f"Get {kind}.zip from Zenodo record 1188976, unpacked or not",
        )
    notes = [f"{len(found)} of {TAKES} takes of RAVDESS found in {root}"]
    return Manifest(
        corpus="ravdess",
        root=root,
        rows=tuple(sorted(found.values(), key=lambda row: (row.speaker, row.clip_id))),
        label_sets=(LABEL_SETS["ravdess-7"], LABEL_SETS["ravdess-8"]),
        protocols=tuple(p for p in PROTOCOLS.values() if p.name.startswith("ravdess")),
        warnings=(*notes, *left_out("RAVDESS", strays=strays, twice=twice)),
        strays=tuple(strays),
    )


def published(*, modality: str) -> ExpectedContents:
    """List the 1,440 speech takes: all combinations, but no strong neutral one."""
    kind, suffix = MODALITY[modality], "mp4" if modality == "av" else "wav"
    fold_of = PROTOCOLS["ravdess-contiguous-6"].fold_of
    two = ("01", "02")
    rows = [
        ManifestRow(
            clip_id=(take := f"{kind}-01-{emotion}-{'-'.join(rest)}-{actor}"),
            path=f"Actor_{actor}/{take}.{suffix}",
            emotion=EMOTIONS[emotion],
            speaker=actor,
            fold=fold_of[actor],
        )
        for actor in fold_of
        for emotion in EMOTIONS
        for rest in itertools.product(two, two, two)
        if (emotion, rest[0]) != ("01", "02")
    ]
    return listed(rows, source="Zenodo record 1188976; folds of MAE-DFER and HiCMAE")
