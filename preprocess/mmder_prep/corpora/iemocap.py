"""IEMOCAP: ten actors in five sessions of two, dialogs cut into turns.

Interactive Emotional Dyadic Motion Capture (Busso et al., 2008), for research only.
Each ``SessionN`` has ``dialog/avi/DivX/DIALOG.avi`` (a split screen of both actors),
``dialog/EmoEvaluation/DIALOG.txt`` and ``sentences/wav/DIALOG/TURN.wav``. The
evaluation file lists the turns with their times and labels, in lines such as
``[6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5, 2.5, 2.5]``.

- ``Ses01F_impro04_M036`` is a turn of the man of session 1, in a recording in which the
  woman (the letter after the session) wore the markers. The actor with the markers is
  in the left half of the frame. Other code that assumes women on the left is wrong for
  half of the dialogs.
- The audio of a turn is its own wav file, which starts at the start of the turn. If it
  is missing, the audio track of the dialog is used.
- Four classes, with excited counted as happy, have 5,531 of the 10,039 turns. Eight of
  them start after the end of their recording (AV-SUPERB). They have audio but no video,
  and a note.
- Turns last 0.6 to 34 s, so the 16 frames are distributed evenly over each turn.
- A test fold is the two speakers of one session, as in SUPERB.

Paper: IV-A, "four emotions". The paper does not state how excited is counted; counting
it as happy follows AV-SUPERB.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmder_prep.corpora.listing import (
    media_names,
    no_clips_error,
    other_modality_advice,
    read_lines,
    scan,
    skipped_warnings,
)
from mmder_prep.corpora.manifest import Manifest, ManifestRow
from mmder_prep.corpora.published import ExpectedContents
from mmder_store.emotions import LABEL_SETS
from mmder_store.errors import ManifestError
from mmder_store.protocols import PROTOCOLS

EMOTIONS = {
    "ang": "angry",
    "dis": "disgust",
    "exc": "excited",
    "fea": "fearful",
    "fru": "frustrated",
    "hap": "happy",
    "neu": "neutral",
    "oth": "",
    "sad": "sad",
    "sur": "surprised",
    "xxx": "",
}
"""Emotion by its code; empty if raters disagreed or chose another word."""
CLASSES = ("ang", "exc", "hap", "neu", "sad")
DIALOG = re.compile(
    r"Ses0[1-5][FM]_(?:impro|script)[0-9a-z]+(?:_[0-9][0-9a-z]*)*(?P<turn>_[FM]\w+)?",
    re.IGNORECASE,
)
"""Stem of a file that belongs to a dialog or to one turn of it."""
TURN = re.compile(
    r"\[(?P<start>\d{1,5}(\.\d+)?) - (?P<stop>\d{1,5}(\.\d+)?)\]\s+"
    r"(?P<turn>(?P<dialog>Ses0[1-5][FM]_\w+)_(?P<sex>[FM])\w+)\s+(?P<label>\w+)\b.*"
)
"""Line of an evaluation file that describes a turn."""
NO_VIDEO = frozenset(
    {
        "Ses01F_script02_1_M044",
        "Ses01M_impro04_M025",
        "Ses02F_script01_1_F044",
        "Ses02F_script01_2_M018",
        "Ses02F_script02_2_M046",
        "Ses02M_script02_2_F046",
        "Ses03M_impro04_M041",
        "Ses03M_impro07_F023",
    }
)
"""Turns of the four classes that start after the end of their recording."""


def find(root: Path, *, modality: str, all_turns: bool = False) -> Manifest:
    """Return the turns of all dialogs under a folder.

    Raises:
        ManifestError: If there are no turns, or an evaluation file is damaged.
    """
    kinds: dict[str, dict[str, str]] = {"txt": {}, "avi": {}, "wav": {}}
    unexpected, duplicates, root_name = [], [], Path(os.path.realpath(root)).name
    listing = scan(root)
    for path in listing.paths:
        parts = [root_name, *path.split("/")]
        stem, _, suffix = parts[-1].lower().rpartition(".")
        match = DIALOG.fullmatch(stem)
        if match is None:
            unexpected += media_names(path)
        # Other folders next to EmoEvaluation hold files of single raters under the same
        # names. The wav file of a whole dialog has both microphones and is not needed.
        wanted = (
            suffix in kinds
            and match is not None
            and (suffix != "txt" or parts[-2].lower() == "emoevaluation")
            and (match["turn"] is not None) == (suffix == "wav")
        )
        if wanted and kinds[suffix].setdefault(stem, path) != path:
            duplicates.append(path)
    evaluations, videos, wavs = kinds.values()
    turns = [
        turn
        for turn in _turns(root, [path for _, path in sorted(evaluations.items())])
        if all_turns or turn["label"] in CLASSES
    ]
    if not turns:
        raise no_clips_error(
            root,
            listing,
            corpus="iemocap",
            wanted="labeled turn in SessionN/dialog/EmoEvaluation/Ses*.txt",
            found=f"{len(videos)} avi and {len(wavs)} wav files"
            if videos or wavs
            else "",
            source="Request IEMOCAP_full_release from its publisher (SAIL, USC)",
        )
    rows = [_row(turn, videos, wavs, modality) for turn in turns]
    warnings = [
        f"{len(rows)} turns from {len(evaluations)} of 151 dialogs of IEMOCAP found in "
        f"{root}"
    ]
    no_avi = sorted({t["dialog"] for t in turns if t["dialog"].lower() not in videos})
    no_wav = sum(turn["turn"].lower() not in wavs for turn in turns)
    if no_avi and modality == "av":
        warnings.append(
            f"{len(no_avi)} dialogs have no avi file, the first {no_avi[0]}"
        )
    advice = ""
    if not videos and modality == "av":
        advice = other_modality_advice(modality, len(turns) - no_wav)
    if advice:
        warnings.append(f"no dialog has an avi file. {advice}")
    if no_wav:
        warnings.append(
            f"{no_wav} turns have no wav file: the audio track of the dialog is used"
        )
    warnings += skipped_warnings(
        "IEMOCAP", listing, unexpected=unexpected, duplicates=duplicates
    )
    return Manifest(
        corpus="iemocap",
        root=root,
        rows=tuple(rows),
        label_sets=(LABEL_SETS["iemocap-4"],),
        protocols=(PROTOCOLS["iemocap-sessions-5"],),
        warnings=tuple(warnings),
        unexpected_files=tuple(unexpected),
        unreadable_files=listing.unreadable,
        advice=advice,
    )


def published(*, modality: str, all_turns: bool = False) -> ExpectedContents:
    """Return the number of turns per label, and per speaker for the four classes."""
    classes = {"angry": 1103, "excited": 1041, "happy": 595}
    classes |= {"neutral": 1708, "sad": 1084}
    others = {"": 2510, "disgust": 2, "fearful": 40, "frustrated": 1849}
    others |= {"surprised": 107}
    women, men = (528, 481, 522, 528, 590), (557, 542, 629, 503, 651)
    speakers = {
        f"Ses0{k}{sex}": n
        for k, pair in enumerate(zip(women, men, strict=True), start=1)
        for sex, n in zip("FM", pair, strict=True)
    }
    return ExpectedContents(
        counts={"emotion": classes | others}
        if all_turns
        else {"emotion": classes, "speaker": speakers},
        source="counts of the 5,531 turns of AV-SUPERB and MERBench",
        separate_audio=modality == "av",
    )


def _turns(root: Path, paths: Iterable[str]) -> Iterator["re.Match[str]"]:
    """Yield the turns of all dialogs, each in the order of its evaluation file.

    Raises:
        ManifestError: If a line starts like a turn but is not one, a turn is listed
            twice, or a file has no turns.
    """
    lines: dict[str, str] = {}
    for path in paths:
        before = len(lines)
        for number, line in enumerate(read_lines(root, path), start=1):
            text = line.strip()
            if not text.startswith("["):
                continue  # the header of the table, or a line of one rater
            match = TURN.fullmatch(text)
            problem = ""
            if match is None or match["label"] not in EMOTIONS:
                problem = f"{text[:60]!r} is not a turn"
            elif match["turn"] in lines:
                problem = (
                    f"{match['turn']} is listed twice, first in {lines[match['turn']]}"
                )
            elif float(match["stop"]) <= float(match["start"]):
                problem = f"{match['turn']} ends before it starts"
            if match is None or problem:
                raise _damaged(path, f", line {number}: {problem}")
            lines[match["turn"]] = f"{path}, line {number}"
            yield match
        if len(lines) == before:
            raise _damaged(path, ": contains no turns")


def _damaged(path: str, problem: str) -> ManifestError:
    """Return the error for an evaluation file with a problem."""
    return ManifestError(
        f"{path}{problem}; expected lines of [start - stop], name of the turn, one of "
        f"{' '.join(EMOTIONS)}, and three ratings; get the file again"
    )


def _row(
    turn: "re.Match[str]",
    videos: dict[str, str],
    wavs: dict[str, str],
    modality: str,
) -> ManifestRow:
    """Return the row of a turn."""
    clip_id, dialog = turn["turn"], turn["dialog"]
    start_s, stop_s = float(turn["start"]), float(turn["stop"])
    wav = wavs.get(clip_id.lower(), "")
    default = f"Session{dialog[4]}/dialog/avi/DivX/{dialog}.avi"
    video = videos.get(dialog.lower(), default)
    wav_only = bool(wav) and modality == "audio"
    wears_markers = dialog[5] == turn["sex"]
    return ManifestRow(
        clip_id=clip_id,
        path=wav if wav_only else video,
        emotion=EMOTIONS[turn["label"]],
        speaker=dialog[:5] + turn["sex"],
        start_s=None if wav_only else start_s,
        stop_s=None if wav_only else stop_s,
        crop="left" if wears_markers else "right",
        sound="" if wav_only else wav,
        sound_at_s=start_s if wav and not wav_only else None,
        note="the recording ends before this turn: no picture"
        if clip_id in NO_VIDEO
        else "",
    )
