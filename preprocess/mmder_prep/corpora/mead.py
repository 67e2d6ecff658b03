"""MEAD: 48 actors, eight emotions, three levels, seven camera views.

The Multi-view Emotional Audio-visual Dataset (Wang et al., 2020), for research only.
The released part has 48 of 60 actors (27 men, 21 women) and 31,729 audio clips. Some
actors lack some emotions and views; W017 has only the view ``down``.

Layout of the unpacked release: ``M003/video/front/angry/level_1/001.mp4`` and
``M003/audio/angry/level_1/001.m4a``. Neutral has only level 1. Clips last 1 to 17 s,
4.2 s on average, so the paper's step of 6 fits most of them. The video and the audio of
a clip differ slightly in length; both are taken from the mp4 file, on one clock.

No speaker-independent folds are published (EmoBox has all 48 speakers in training and
test). ``mead-speakers-5`` assigns the men and then the women to five folds in turn, in
the order of the SHA-256 of ``0:`` and the name of the actor. This is a draw with seed 0
that has the same result on every machine and for any subset of the actors.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
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
CLIP_PATH = re.compile(
    r"(?:.*/)?(?P<actor>[MW]\d{3})/(?:video/(?P<view>\w+)|audio)/(?P<emotion>\w+)"
    r"/level_(?P<level>[123])/(?P<number>\d{3})\.(?:mp4|m4a)",
    re.IGNORECASE,
)


def find(root: Path, *, modality: str, view: str = "front") -> Manifest:
    """Return the clips of one camera view, or the audio clips, under a folder.

    Raises:
        ManifestError: If there are no clips.
    """
    wanted_view = view if modality == "av" else ""
    rows: dict[str, ManifestRow] = {}
    unexpected, duplicates = [], []
    other_views: Counter[str] = Counter()
    # The root may be the folder of one actor, or a subfolder of it.
    absolute_root = os.path.realpath(root).replace(os.sep, "/")
    listing = scan(root)
    for path in listing.paths:
        match = CLIP_PATH.fullmatch(f"{absolute_root}/{path}")
        if match is None or not _is_released(match):
            unexpected += media_names(path)
            continue
        if (match["view"] or "").lower() != wanted_view:
            other_views[(match["view"] or "").lower()] += 1
            continue
        actor, emotion = match["actor"].upper(), match["emotion"].lower()
        clip_id = f"{actor}_{emotion}_{match['level']}_{match['number']}"
        if clip_id in rows:
            duplicates.append(path)
            continue
        rows[clip_id] = ManifestRow(
            clip_id=clip_id, path=path, emotion=EMOTIONS[emotion], speaker=actor
        )
    if not rows:
        kind = f"video/{wanted_view}" if wanted_view else "audio"
        raise no_clips_error(
            root,
            listing,
            corpus="mead",
            wanted=f"{kind}/EMOTION/level_N/NNN",
            found=f"{other_views.total()} clips of other views" if other_views else "",
            advice=_view_advice(modality, other_views),
            source="Request MEAD from its authors, unpack it",
        )
    speakers = {row.speaker for row in rows.values()}
    return Manifest(
        corpus="mead",
        root=root,
        rows=tuple(row for _, row in sorted(rows.items())),
        label_sets=(LABEL_SETS["mead-8"],),
        protocols=(PROTOCOLS["mead-speakers-5"],),
        warnings=(
            f"{len(rows)} clips of {len(speakers)} of 48 actors found in {root}",
            *skipped_warnings(
                "MEAD", listing, unexpected=unexpected, duplicates=duplicates
            ),
        ),
        unexpected_files=tuple(unexpected),
        unreadable_files=listing.unreadable,
    )


def _view_advice(modality: str, other_views: Mapping[str, int]) -> str:
    """Return advice on the option that selects the clips that were found."""
    views = [view for view in VIEWS if view in other_views]
    if views and modality == "av":
        return f"Pass --view with one of {', '.join(views)}"
    return other_modality_advice(modality, sum(other_views.values()))


def _is_released(match: "re.Match[str]") -> bool:
    """Return whether the actor of a path was released and its emotion is known."""
    actor, emotion = match["actor"].upper(), match["emotion"].lower()
    return actor in MEAD_SPEAKERS and emotion in EMOTIONS


def published(*, modality: str, view: str = "front") -> ExpectedContents:
    """Return the number of audio clips, an upper bound on the clips of each view."""
    no_clips = {"W017"} if modality == "av" and view != "down" else set()
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
            "speaker": {s: 0 for s in MEAD_SPEAKERS if s not in no_clips},
        },
        source="audio clips counted by EmoBox; a camera view may have fewer",
        exact=False,
    )
