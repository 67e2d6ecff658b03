"""CREMA-D: 91 actors, twelve sentences, six emotions, crowd-sourced ratings.

The Crowd-sourced Emotional Multimodal Actors Dataset (Cao et al., 2014), Open Database
License. 7,442 clips (angry, disgust, fearful, happy, sad 1,271 each, neutral 1,087):
82 per actor, except for 20 combinations that were never recorded.

Layout of the release: ``VideoFlash/*.flv``, ``AudioWAV/*.wav``, ``AudioMP3/*.mp3``,
named ``actor_sentence_emotion_level``, and ``processedResults/summaryTable.csv`` with
the emotion that most raters chose from voice, face, or both. Known problems, and how
they are handled:

- The audio is taken from ``AudioWAV``, because 28 of the flv files had no audio for
  years. It starts with the first video frame: the length of a wav file is a whole
  number of frames, and the video of an flv file starts 27 ms late, which is the delay
  of its own mp3 audio.
- Four clips are broken (no audio, an error image, no duration, a reel of all emotions)
  and HiCMAE excludes a fifth. The remaining 7,437 clips are the default.
- Three pairs of wav files are identical byte for byte under different labels. They are
  kept with a note.
- A clone without git-lfs has pointer files of 130 bytes. Such clips fail with a clear
  reason. In copies from before October 2022, ``1040_ITH_SAD_XX`` ends in ``_X``.
- Raters agree with the intended emotion in 42 % (voice), 66 % (face) and 72 % (both)
  of the clips.
- Clips last 1.3 to 5 s, with a median of 2.5 s, at 29.97 frames per second. 85 % of
  them are shorter than the 91 frames of the paper's step 6, 0.3 % are shorter than the
  46 frames of step 3.
"""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mmder_prep.corpora.listing import (
    media_names,
    no_clips_error,
    other_modality_advice,
    read_lines,
    scan,
    skipped_warnings,
)
from mmder_prep.corpora.manifest import RATED, Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents, expected_from_rows
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
"""Intensity levels of the sentence IEO if not neutral; all other clips have ``XX``."""
NAME = re.compile(
    rf"(?P<actor>10(?:0[1-9]|[1-8]\d|9[01]))_(?P<sentence>{'|'.join(SENTENCES)})"
    rf"_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<level>LO|MD|HI|XX?)"
    r"\.(?P<suffix>flv|mp4|avi|wav|mp3)",
    re.IGNORECASE,
)
VIDEO_SUFFIXES = ("flv", "mp4", "avi")
NEVER_RECORDED = frozenset(
    {"1002_TIE_NEU_XX", "1076_ITS_NEU_XX"}
    | {
        f"{actor_sentence}_{emotion}_XX"
        for actor_sentence in ("1008_WSI", "1009_MTI", "1019_ITH")
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
"""Broken clips and their notes, which are stored."""
SAME_AUDIO = (
    ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
    ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
    ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
)
"""Pairs of clips with identical wav files and different labels."""
NOTES = KNOWN_BAD | {
    clip_id: f"the same sound as {other}, which has another label"
    for pair in SAME_AUDIO
    for clip_id, other in (pair, pair[::-1])
}
"""Notes on clips, which are stored."""
VOTES = dict(zip("ADFHNS", EMOTIONS.values(), strict=True))
"""Emotion by its letter in the table of votes."""
VOTE_COLUMNS = ("VoiceVote", "FaceVote", "MultiModalVote")


def find(root: Path, *, modality: str, include_known_bad: bool = False) -> Manifest:
    """Return the clips under a folder, with their wav files and the crowd's votes.

    Raises:
        ManifestError: If there are no clips, or the table of votes cannot be read.
    """
    by_clip: dict[str, dict[str, str]] = {}
    unexpected, duplicates, votes_path = [], [], ""
    listing = scan(root)
    for path in listing.paths:
        name = path.rsplit("/", 1)[-1]
        match = NAME.fullmatch(name)
        if match is not None:
            by_suffix = by_clip.setdefault(_clip_id(match), {})
            if by_suffix.setdefault(match["suffix"].lower(), path) != path:
                duplicates.append(path)
        elif name.lower() == "summarytable.csv":
            votes_path = votes_path or path
        else:
            unexpected += media_names(path)
    ratings = _read_votes(root, votes_path) if votes_path else {}
    suffixes = VIDEO_SUFFIXES if modality == "av" else ("wav",)
    paths = {c: p for c, p in by_clip.items() if any(s in p for s in suffixes)}
    skipped = [] if include_known_bad else sorted(KNOWN_BAD.keys() & paths)
    rows = tuple(
        _row(clip_id, paths[clip_id], suffixes, ratings.get(clip_id, {}))
        for clip_id in sorted(paths.keys() - set(skipped))
    )
    if not rows:
        raise no_clips_error(
            root,
            listing,
            corpus="cremad",
            wanted="VideoFlash/*.flv" if modality == "av" else "AudioWAV/*.wav",
            found=f"{len(by_clip)} clips in other formats" if by_clip else "",
            advice=other_modality_advice(
                modality,
                sum(
                    any(
                        s in p
                        for s in (("wav",) if modality == "av" else VIDEO_SUFFIXES)
                    )
                    for p in by_clip.values()
                ),
            ),
            source="Clone CheyneyComputerScience/CREMA-D with git-lfs",
        )
    crowd_sets = ("cremad-6-voice", "cremad-6-face", "cremad-6-both")
    names = ("cremad-6", "cremad-4", *(crowd_sets if votes_path else ()))
    return Manifest(
        corpus="cremad",
        root=root,
        rows=rows,
        label_sets=tuple(LABEL_SETS[name] for name in names),
        protocols=(PROTOCOLS["cremad-contiguous-5"],),
        warnings=(
            f"{len(rows)} clips of CREMA-D found in {root}",
            *_warnings(rows, skipped=skipped, modality=modality, votes_path=votes_path),
            *skipped_warnings(
                "CREMA-D", listing, unexpected=unexpected, duplicates=duplicates
            ),
        ),
        unexpected_files=tuple(unexpected),
        unreadable_files=listing.unreadable,
    )


def _warnings(
    rows: Sequence[ManifestRow],
    *,
    skipped: Sequence[str],
    modality: str,
    votes_path: str,
) -> Iterator[str]:
    """Yield one line per property of the copy that the user should know."""
    if names := ", ".join(skipped):
        yield f"known bad clips are skipped without --include-known-bad: {names}"
    no_wav = sum(not row.sound for row in rows if modality == "av")
    if no_wav:
        yield (
            f"{no_wav} clips have no wav file: the audio track of the video file is "
            "used"
        )
    clip_ids = {row.clip_id for row in rows}
    pairs = [" = ".join(p) for p in SAME_AUDIO if clip_ids.issuperset(p)]
    if pairs:
        yield f"pairs with the same audio and different labels: {', '.join(pairs)}"
    if votes_path:
        counts = ", ".join(
            f"{sum(bool(getattr(row, column)) for row in rows)} {column}"
            for column in RATED
        )
        yield (
            f"clips with a majority vote in {votes_path}: {counts}; see the label sets "
            "cremad-6-voice, cremad-6-face, cremad-6-both"
        )


def published(*, modality: str, include_known_bad: bool = True) -> ExpectedContents:
    """Return all 7,442 clips, or the 7,437 that are not known to be bad."""
    fold_of = PROTOCOLS["cremad-contiguous-5"].fold_of
    rows = [
        _row(
            clip_id,
            {"flv": f"VideoFlash/{clip_id}.flv", "wav": f"AudioWAV/{clip_id}.wav"},
            VIDEO_SUFFIXES if modality == "av" else ("wav",),
            {},
            fold_of[clip_id[:4]],
        )
        for actor, sentence, emotion in itertools.product(fold_of, SENTENCES, EMOTIONS)
        for level in (LEVELS if sentence == "IEO" and emotion != "NEU" else ("XX",))
        if (clip_id := f"{actor}_{sentence}_{emotion}_{level}") not in NEVER_RECORDED
        and (include_known_bad or clip_id not in KNOWN_BAD)
    ]
    return expected_from_rows(
        rows, source="CheyneyComputerScience/CREMA-D; folds of HiCMAE"
    )


def _clip_id(match: "re.Match[str]") -> str:
    """Return the canonical name of a clip, in upper case and with a level."""
    level = "XX" if match["level"].upper() == "X" else match["level"]
    return f"{match['actor']}_{match['sentence']}_{match['emotion']}_{level}".upper()


def _row(
    clip_id: str,
    paths: dict[str, str],
    suffixes: Iterable[str],
    ratings: dict[str, str],
    fold: int | None = None,
) -> ManifestRow:
    """Return the row of a clip from its paths by suffix, the preferred suffix first."""
    path = next(paths[suffix] for suffix in suffixes if suffix in paths)
    wav = paths.get("wav", "")
    return ManifestRow(
        clip_id=clip_id,
        path=path,
        sound="" if wav == path else wav,
        emotion=EMOTIONS[clip_id.split("_")[2]],
        speaker=clip_id[:4],
        fold=fold,
        note=NOTES.get(clip_id, ""),
        rated_voice=ratings.get("rated_voice", ""),
        rated_face=ratings.get("rated_face", ""),
        rated_both=ratings.get("rated_both", ""),
    )


def _read_votes(root: Path, path: str) -> dict[str, dict[str, str]]:
    """Read the emotion that most raters chose, by clip and column; empty for a tie."""
    lines = read_lines(root, path)
    reader = csv.DictReader(lines, strict=True)
    votes, problem = {}, ""
    try:
        if not {"FileName", *VOTE_COLUMNS} <= set(reader.fieldnames or ()):
            problem = f"starts with {lines[0][:30]!r}"
        for line in () if problem else reader:
            if None in line.values():
                problem = f"line {reader.line_num} has too few values"
                break
            votes[line["FileName"].strip().upper()] = {
                column: VOTES.get(line[vote].strip().upper(), "")
                for column, vote in zip(RATED, VOTE_COLUMNS, strict=True)
            }
    except csv.Error as error:
        problem = f"line {reader.reader.line_num}: {error}"
    if problem:
        msg = (
            f"{path}: {problem}; expected the columns FileName, "
            f"{', '.join(VOTE_COLUMNS)}: get the file again (git lfs pull), or move it "
            "out of the folder"
        )
        raise ManifestError(msg)
    return votes
