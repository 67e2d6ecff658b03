"""MAFW: 9,172 clips of films and shows with one of eleven emotions.

Multi-modal compound Affective database for dynamic Facial expression recognition in the
Wild (Liu et al., 2022), for research on request. 10,045 clips, of which 9,172 have a
single label; five folds of clips test each of these once. 21 of all clips have no
audio; papers on audio and video use 9,156 with audio.

Layout: ``Train & Test Set/single/no_caption/set_1/train.txt`` and the same for test and
for five sets, with lines such as ``00025.mp4 anger``, and the clips under their names.
Known properties, and how they are handled:

- The people are not named, and the folds divide clips. The same person can be in
  training and test, so no result on these folds is speaker-independent.
- A clip without audio gets the status ``no_audio`` when it is prepared.
- The layout was taken from the code of HiCMAE and could not be checked with a copy of
  the release.
"""

import re

from mmder_prep.corpora.clip_folds import ClipCorpus
from mmder_store.emotions import LABEL_SETS

EMOTIONS = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
    "contempt": "contempt",
    "anxiety": "anxious",
    "helplessness": "helpless",
    "disappointment": "disappointed",
}
COUNTS = dict(
    zip(
        EMOTIONS.values(),
        (1390, 639, 625, 1242, 1138, 1470, 1072, 236, 916, 262, 182),
        strict=True,
    )
)
"""Number of clips of each emotion, as published by MMA-DFER."""
LIST = re.compile(
    r"(?:.*/)?single/no_caption/set_(?P<fold>[1-5])/(?P<side>train|test)\.txt",
    re.IGNORECASE,
)
CLIP = re.compile(r"(?:.*/)?(?P<number>\d{5})\.(?:mp4|avi|mkv)", re.IGNORECASE)


def _parse(line: str) -> tuple[str, str] | None:
    """Return the clip and the emotion of a line ``00025.mp4 anger``."""
    match = re.fullmatch(r"(\d{5})(?:\.\w+)? (\w+)", line)
    if match is None or match[2].lower() not in EMOTIONS:
        return None
    return match[1], EMOTIONS[match[2].lower()]


CORPUS = ClipCorpus(
    name="mafw",
    title="MAFW",
    lists=LIST,
    parse=_parse,
    clip=CLIP,
    wanted="clip of Train & Test Set/single/no_caption/set_*",
    request="Request MAFW from its authors, unpack the clips and the lists",
    labels=LABEL_SETS["mafw-11"],
    protocol="mafw-clips-5",
    source="five sets of clips in the release of MAFW",
    counts=COUNTS,
    counts_source="the five test sets, counted by MMA-DFER",
)
