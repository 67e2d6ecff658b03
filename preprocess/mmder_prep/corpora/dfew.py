"""DFEW: 11,697 clips of films with one of seven emotions.

Dynamic Facial Expression in the Wild (Jiang et al., 2020), for research on request.
16,372 clips, of which 11,697 have a single label; five folds of clips test each of
these once. Clips have 11 to 847 frames, with a median of 70.

Layout: ``EmoLabel_DataSplit/train(single-labeled)/set_1.csv`` and the same for test and
for five sets, with the columns ``video_name`` and ``label`` (1 happy, 2 sad, 3 neutral,
4 angry, 5 surprised, 6 disgust, 7 fearful), and the clips in ``Clip/original/``, named
by their numbers. Known properties, and how they are handled:

- The people in the films are not named, and the folds divide clips. The same actor is
  likely in training and test, so no result on these folds is speaker-independent.
- The publisher's frames of aligned faces (``Clip/clip_224x224``) have no audio and are
  not read; faces are found in the original clips, as in every corpus.
- The layout was taken from the code of MMA-DFER and HiCMAE and could not be checked
  with a copy of the release.
"""

import re

from mmder_prep.corpora.clip_folds import ClipCorpus, clip_name
from mmder_store.emotions import LABEL_SETS

EMOTIONS = dict(
    enumerate(
        ("happy", "sad", "neutral", "angry", "surprised", "disgust", "fearful"), start=1
    )
)
"""Emotion by its number in the lists."""
COUNTS = dict(
    zip(EMOTIONS.values(), (2445, 1894, 2669, 2173, 1469, 145, 902), strict=True)
)
"""Number of clips of each emotion that the five sets test."""
LIST = re.compile(
    r"(?:.*/)?(?P<side>train|test)\(single-labeled\)/(?:\w*_)?set_(?P<fold>[1-5])\.csv",
    re.IGNORECASE,
)
CLIP = re.compile(r"(?:.*/)?(?P<number>\d{1,5})\.(?:mp4|avi|mkv)", re.IGNORECASE)


def _parse(line: str) -> tuple[str, str] | None:
    """Return the clip and the emotion of a line ``video_name,label``."""
    match = re.fullmatch(r'"?(\d{1,5})"?,"?([1-7])"?', line)
    return None if match is None else (clip_name(match[1]), EMOTIONS[int(match[2])])


CORPUS = ClipCorpus(
    name="dfew",
    title="DFEW",
    lists=LIST,
    parse=_parse,
    clip=CLIP,
    wanted="clip of EmoLabel_DataSplit/*/set_*.csv",
    request="Request DFEW from its authors, unpack the clips and the lists",
    labels=LABEL_SETS["dfew-7"],
    protocol="dfew-clips-5",
    source="five sets of clips in the release of DFEW",
    counts=COUNTS,
    counts_source="the five test sets, counted from the lists of MMA-DFER",
)
