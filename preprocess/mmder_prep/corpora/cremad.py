"""CREMA-D: 91 actors, twelve sentences, six emotions, rated by a crowd.

The Crowd-sourced Emotional Multimodal Actors Dataset (Cao et al., 2014), Open Database
License. 7,442 clips (angry, disgust, fearful, happy, sad 1,271 each, neutral 1,087), 82
an actor but for 20 that were never recorded.

As shipped: ``VideoFlash/*.flv``, ``AudioWAV/*.wav``, ``AudioMP3/*.mp3``, named
``actor_sentence_emotion_level``, and ``processedResults/summaryTable.csv`` with what
most raters heard, saw, or found in both. What is odd, and what is done about it:

- The sound is taken from ``AudioWAV``: 28 of the flv files had none for years. It
  begins with the first picture: wav files are whole pictures long, and the flv's
  picture starts 27 ms late, the delay of its own mp3 sound.
- Four clips are broken (no sound, an error picture, no duration, a reel of all
  emotions) and HiCMAE leaves out a fifth: 7,437 remain, unless asked for.
- Three pairs of wav files are the same to the byte under different labels: noted.
- A clone without git-lfs holds pointers of 130 bytes: such clips fail, and say so.
  Copies of ``1040_ITH_SAD_XX`` from before October 2022 end in ``_X``.
- Raters agree with the actor in 42 (voice), 66 (face) and 72 % (both) of the clips.
- Clips last 1.3 to 5 s, in the median 2.5 at 29.97 frames a second: 85 % of them are
  shorter than the 91 frames of the paper's step 6, 0.3 % than the 46 of step 3.
"""

import csv
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from mmder_prep.corpora.listing import files, left_out, lines_of, nothing, stray
from mmder_prep.corpora.manifest import RATED, Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents, listed
from mmder_store.emotions import LABEL_SETS
from mmder_store.errors import ManifestError
from mmder_store.protocols import PROTOCOLS

EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
SENTENCES = (
    *("DFA", "IEO", "IOM", "ITH", "ITS", "IWL"),
    *("IWW", "MTI", "TAI", "TIE", "TSI", "WSI"),
)
LEVELS = ("LO", "MD", "HI")
"""Of the sentence IEO, when it is not neutral; of all else, ``XX``."""
NAME = re.compile(
    rf"(?P<actor>10(?:0[1-9]|[1-8]\d|9[01]))_(?P<sentence>{'|'.join(SENTENCES)})"
    rf"_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<level>LO|MD|HI|XX?)"
    r"\.(?P<suffix>flv|mp4|avi|wav|mp3)",
    re.IGNORECASE,
)
PICTURES = ("flv", "mp4", "avi")
NEVER_RECORDED = frozenset(
    {"1002_TIE_NEU_XX", "1076_ITS_NEU_XX"}
    | {
        f"{taken}_{emotion}_XX"
        for taken in ("1008_WSI", "1009_MTI", "1019_ITH")
        for emotion in EMOTIONS
    }
)
KNOWN_BAD = {
    "1040_ITH_SAD_XX": "known bad: left out by HiCMAE",
    "1064_IEO_DIS_MD": "known bad: a reel of all emotions, a minute long",
    "1064_TIE_SAD_XX": "known bad: no duration in the flv file",
    "1076_MTI_NEU_XX": "known bad: very short flv file without sound",
    "1076_MTI_SAD_XX": "known bad: an error picture, no sound",
}
SAME_SOUND = (
    ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
    ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
    ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
)
NOTES = KNOWN_BAD | {
    one: f"the same sound as {other}, which has another label"
    for pair in SAME_SOUND
    for one, other in (pair, pair[::-1])
}
VOTES = dict(zip("ADFHNS", EMOTIONS.values(), strict=True))
VOTE_COLUMNS = ("VoiceVote", "FaceVote", "MultiModalVote")


def find(root: Path, *, modality: str, include_known_bad: bool = False) -> Manifest:
    """List the clips under a folder, with their separate sound and the crowd's votes.

    Raises:
        ManifestError: If there is none, or the table of votes cannot be read.
    """
    there: dict[str, dict[str, str]] = {}
    strays, twice, votes = [], [], ""
    for path in files(root):
        name = path.rsplit("/", 1)[-1]
        match = NAME.fullmatch(name)
        if match is not None:
            found = there.setdefault(_clip_id(match), {})
            if found.setdefault(match["suffix"].lower(), path) != path:
                twice.append(path)
        elif name.lower() == "summarytable.csv":
            votes = votes or path
        else:
            strays += stray(path)
    rated = _votes(root, votes) if votes else {}
    wanted = PICTURES if modality == "av" else ("wav",)
    paths = {c: p for c, p in there.items() if any(s in p for s in wanted)}
    bad = [] if include_known_bad else sorted(KNOWN_BAD.keys() & paths)
    rows = tuple(
        _row(clip_id, paths[clip_id], wanted, rated.get(clip_id, {}))
        for clip_id in sorted(paths.keys() - set(bad))
    )
    if not rows:
        raise nothing(
            root,
            corpus="cremad",
            wanted="VideoFlash/*.flv" if modality == "av" else "AudioWAV/*.wav",
            known=f"{len(there)} clips are there in other forms" if there else "",
            way="Clone CheyneyComputerScience/CREMA-D with git-lfs",
        )
    mute = sum(not row.sound for row in rows if modality == "av")
    notes = [f"{len(rows)} clips of CREMA-D found in {root}"]
    if bad:
        said = ", ".join(bad)
        notes.append(f"known bad, left out but for --include-known-bad: {said}")
    if mute:
        notes.append(f"{mute} clips have no wav file: the video's own sound is taken")
    pairs = [p for p in SAME_SOUND if {row.clip_id for row in rows}.issuperset(p)]
    if pairs:
        notes.append("the same sound, two labels: " + ", ".join(map(" = ".join, pairs)))
    if votes:
        sure = ", ".join(f"{sum(bool(getattr(r, c)) for r in rows)} {c}" for c in RATED)
        notes.append(
            f"of the crowd's votes in {votes} a majority stands for {sure}: see the "
            "label sets cremad-6-voice, cremad-6-face, cremad-6-both"
        )
    crowd = ("cremad-6-voice", "cremad-6-face", "cremad-6-both") if votes else ()
    return Manifest(
        corpus="cremad",
        root=root,
        rows=rows,
        label_sets=tuple(LABEL_SETS[name] for name in ("cremad-6", "cremad-4", *crowd)),
        protocols=(PROTOCOLS["cremad-contiguous-5"],),
        warnings=(*notes, *left_out("CREMA-D", strays=strays, twice=twice)),
        strays=tuple(strays),
    )


def published(*, modality: str, include_known_bad: bool = True) -> ExpectedContents:
    """List all 7,442 clips, or the 7,437 that are not known to be bad."""
    fold_of = PROTOCOLS["cremad-contiguous-5"].fold_of
    rows = [
        _row(
            clip_id,
            {"flv": f"VideoFlash/{clip_id}.flv", "wav": f"AudioWAV/{clip_id}.wav"},
            PICTURES if modality == "av" else ("wav",),
            {},
            fold_of[clip_id[:4]],
        )
        for actor, sentence, emotion in itertools.product(fold_of, SENTENCES, EMOTIONS)
        for level in (LEVELS if sentence == "IEO" and emotion != "NEU" else ("XX",))
        if (clip_id := f"{actor}_{sentence}_{emotion}_{level}") not in NEVER_RECORDED
        and (include_known_bad or clip_id not in KNOWN_BAD)
    ]
    return listed(rows, source="CheyneyComputerScience/CREMA-D; folds of HiCMAE")


def _clip_id(match: "re.Match[str]") -> str:
    """Give the name a clip should have, whatever its case."""
    level = "XX" if match["level"].upper() == "X" else match["level"]
    return f"{match['actor']}_{match['sentence']}_{match['emotion']}_{level}".upper()


def _row(
    clip_id: str,
    paths: dict[str, str],
    wanted: Iterable[str],
    rated: dict[str, str],
    fold: int | None = None,
) -> ManifestRow:
    path = next(paths[suffix] for suffix in wanted if suffix in paths)
    sound = paths.get("wav", "")
    return ManifestRow(
        clip_id=clip_id,
        path=path,
        sound="" if sound == path else sound,
        emotion=EMOTIONS[clip_id.split("_")[2]],
        speaker=clip_id[:4],
        fold=fold,
        note=NOTES.get(clip_id, ""),
        rated_voice=rated.get("rated_voice", ""),
        rated_face=rated.get("rated_face", ""),
        rated_both=rated.get("rated_both", ""),
    )


def _votes(root: Path, path: str) -> dict[str, dict[str, str]]:
    """Read what most raters heard, saw, or found in both; ties stay empty."""
    lines = lines_of(root, path)
    reader = csv.DictReader(lines, strict=True)
    votes, why = {}, ""
    try:
        if not {"FileName", *VOTE_COLUMNS} <= set(reader.fieldnames or ()):
            why = f"begins {lines[0][:30]!r}"
        for line in () if why else reader:
            if None in line.values():
                why = f"line {reader.line_num} is too short"
                break
            votes[line["FileName"].strip().upper()] = {
                column: VOTES.get(line[vote].strip().upper(), "")
                for column, vote in zip(RATED, VOTE_COLUMNS, strict=True)
            }
    except csv.Error as error:
        why = f"line {reader.reader.line_num}: {error}"
    if why:
        msg = (
            f"{path}: {why}; columns FileName, {', '.join(VOTE_COLUMNS)} expected: "
            "get it again (git lfs pull), or move it away"
        )
        raise ManifestError(msg)
    return votes
