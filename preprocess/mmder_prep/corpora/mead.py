"""MEAD: 48 actors, eight emotions, three levels, seven cameras.

The Multi-view Emotional Audio-visual Dataset (Wang et al., 2020), for research only.
The released part has 48 of 60 actors (27 men, 21 women) and 31,729 clips of sound; some
emotions and views of some actors are missing; of W017 there is only the view ``down``.

As shipped, unpacked: ``M003/video/front/angry/level_1/001.mp4`` and
``M003/audio/angry/level_1/001.m4a``. Neutral has level 1 only. Clips last 1 to 17 s,
in the mean 4.2 s, so the paper's step of 6 fits most of them. Pictures and sound are
not of the same length to the frame; both are taken from the mp4, on one clock.

No folds are published that keep speakers apart (EmoBox shares all 48 between both
sides). ``mead-speakers-5`` deals the men, then the women, to five folds in turn, in
the order of the SHA-256 of ``0:`` and the actor's name: a draw with the seed 0 that
comes out the same everywhere, whoever of them is there.
"""

import re
from pathlib import Path

from mmder_prep.corpora.listing import files, left_out, nothing, stray
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import MEAD_SPEAKERS, PROTOCOLS

EMOTIONS = {
    "angry": "angry",
    "contempt": "contempt",
    "disgusted": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprised": "surprised",
}
VIEWS = ("front", "left_30", "left_60", "right_30", "right_60", "top", "down")
PLACE = re.compile(
    r"(?:.*/)?(?P<actor>[MW]\d{3})/(?:video/(?P<view>\w+)|audio)/(?P<emotion>\w+)"
    r"/level_(?P<level>[123])/(?P<number>\d{3})\.(?:mp4|m4a)",
    re.IGNORECASE,
)


def find(root: Path, *, modality: str, view: str = "front") -> Manifest:
    """List the clips of one camera, or of sound alone, under a folder.

    Raises:
        ManifestError: If there is none.
    """
    want = view if modality == "av" else ""
    rows: dict[str, ManifestRow] = {}
    strays, twice, others = [], [], 0
    # The folder that is named as root may be one actor's own, or one of those in it.
    above = root.resolve().as_posix()
    for path in files(root):
        match = PLACE.fullmatch(f"{above}/{path}")
        if match is None or not _known(match):
            strays += stray(path)
            continue
        if (match["view"] or "").lower() != want:
            others += 1
            continue
        actor, emotion = match["actor"].upper(), match["emotion"].lower()
        clip_id = f"{actor}_{emotion}_{match['level']}_{match['number']}"
        if clip_id in rows:
            twice.append(path)
            continue
        rows[clip_id] = ManifestRow(
            clip_id=clip_id, path=path, emotion=EMOTIONS[emotion], speaker=actor
        )
    if not rows:
        kind = f"video/{want}" if want else "audio"
        raise nothing(
            root,
            corpus="mead",
            wanted=f"{kind}/EMOTION/level_N/NNN",
            known=f"{others} clips of other views are there" if others else "",
            way="Ask the authors of MEAD for it, unpack it",
        )
    speakers = {row.speaker for row in rows.values()}
    notes = [f"{len(rows)} clips of {len(speakers)} of 48 actors found in {root}"]
    return Manifest(
        corpus="mead",
        root=root,
        rows=tuple(row for _, row in sorted(rows.items())),
        label_sets=(LABEL_SETS["mead-8"],),
        protocols=(PROTOCOLS["mead-speakers-5"],),
        warnings=(*notes, *left_out("MEAD", strays=strays, twice=twice)),
        strays=tuple(strays),
    )


def _known(match: "re.Match[str]") -> bool:
    actor, emotion = match["actor"].upper(), match["emotion"].lower()
    return actor in MEAD_SPEAKERS and emotion in EMOTIONS


def published(*, modality: str, view: str = "front") -> ExpectedContents:
    """Give the counts of the sound, of which the pictures of a view have fewer."""
    holes = {"W017"} if modality == "av" and view != "down" else set()
    return ExpectedContents(
        counts={
            "emotion": {
                "angry": 4193,
                "contempt": 4215,
                "disgust": 4284,
                "fearful": 4251,
                "happy": 4294,
                "neutral": 1916,
                "sad": 4306,
                "surprised": 4270,
            },
            "speaker": {s: 0 for s in MEAD_SPEAKERS if s not in holes},
        },
        source="clips of sound, counted by EmoBox; a camera may have fewer",
        exact=False,
    )
