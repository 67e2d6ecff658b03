"""IEMOCAP: ten actors, five sessions of two, in dialogs cut into turns.

Interactive Emotional Dyadic Motion Capture (Busso et al., 2008), for research only.
Each ``SessionN`` has, under ``dialog/``, ``avi/DivX/DIALOG.avi`` (a split screen of
both actors) and ``EmoEvaluation/DIALOG.txt``, and under ``sentences/``
``wav/DIALOG/TURN.wav``. What a turn is, its times and its label stand in the evaluation
file, on lines such as ``[6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5, 2.5, 2.5]``.

- ``Ses01F_impro04_M036`` is a turn of the man of session 1 in a recording in which the
  woman (the letter after the session) wore the markers. Who wore them is in the left
  half of the picture. Others' code that puts women left is wrong for half the dialogs.
- The sound is the turn's own wav file, which begins where the turn does; where it is
  missing, the dialog's sound.
- Four classes, excited counted as happy: 5,531 turns of 10,039. Of these, eight lie
  after the end of their recording (AV-SUPERB): sound and no picture, so noted.
- Turns last 0.6 to 34 s: the 16 frames are spread over each.
- Tested are the two speakers of one session, as in SUPERB.

Paper: IV-A, "four emotions"; how excited is counted is open and follows AV-SUPERB.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmder_prep.corpora.listing import files, left_out, lines_of, nothing, stray
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
"""Three letters to emotion; none where raters did not agree, or on another word."""
CLASSES = ("ang", "exc", "hap", "neu", "sad")
DIALOG = re.compile(
    r"Ses0[1-5][FM]_(?:impro|script)[0-9a-z]+(?:_[0-9][0-9a-z]*)*(?P<turn>_[FM]\w+)?",
    re.IGNORECASE,
)
"""Stem of a file that belongs to a dialog, or to one turn of it."""
TURN = re.compile(
    r"\[(?P<start>\d{1,5}(\.\d+)?) - (?P<stop>\d{1,5}(\.\d+)?)\]\s+"
    r"(?P<turn>(?P<dialog>Ses0[1-5][FM]_\w+)_(?P<who>[FM])\w+)\s+(?P<label>\w+)\b.*"
)
NO_PICTURE = frozenset(
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


def find(root: Path, *, modality: str, all_turns: bool = False) -> Manifest:
    """List the turns of all dialogs under a folder.

    Raises:
        ManifestError: If there is none, or an evaluation file cannot be understood.
    """
    kinds: dict[str, dict[str, str]] = {"txt": {}, "avi": {}, "wav": {}}
    strays, twice, above = [], [], root.resolve().name
    for path in files(root):
        parts = [above, *path.split("/")]
        stem, _, suffix = parts[-1].lower().rpartition(".")
        match = DIALOG.fullmatch(stem)
        if match is None:
            strays += stray(path)
        # Folders beside EmoEvaluation hold the raters' own files, of the same names;
        # a dialog's own wav file has each actor's microphone, and is not needed.
        wanted = (
            suffix in kinds
            and match is not None
            and (suffix != "txt" or parts[-2].lower() == "emoevaluation")
            and (match["turn"] is not None) == (suffix == "wav")
        )
        if wanted and kinds[suffix].setdefault(stem, path) != path:
            twice.append(path)
    evaluations, pictures, sounds = kinds.values()
    turns = [
        turn
        for turn in _turns(root, [path for _, path in sorted(evaluations.items())])
        if all_turns or turn["label"] in CLASSES
    ]
    if not turns:
        raise nothing(
            root,
            corpus="iemocap",
            wanted="labelled turn in SessionN/dialog/EmoEvaluation/Ses*.txt",
            known=f"{len(pictures)} avi and {len(sounds)} wav files are there"
            if pictures or sounds
            else "",
            way="Ask its publisher (SAIL, USC) for IEMOCAP_full_release",
        )
    rows = [_row(turn, pictures, sounds, modality) for turn in turns]
    notes = [
        f"{len(rows)} turns of {len(evaluations)} of 151 dialogs of IEMOCAP found in "
        f"{root}"
    ]
    dark = sorted({t["dialog"] for t in turns if t["dialog"].lower() not in pictures})
    mute = sum(turn["turn"].lower() not in sounds for turn in turns)
    if dark and modality == "av":
        notes.append(f"{len(dark)} dialogs have no avi file, the first {dark[0]}")
    if mute:
        notes.append(f"{mute} turns have no wav file: the dialog's sound is taken")
    return Manifest(
        corpus="iemocap",
        root=root,
        rows=tuple(rows),
        label_sets=(LABEL_SETS["iemocap-4"],),
        protocols=(PROTOCOLS["iemocap-sessions-5"],),
        warnings=(*notes, *left_out("IEMOCAP", strays=strays, twice=twice)),
        strays=tuple(strays),
    )


def published(*, modality: str, all_turns: bool = False) -> ExpectedContents:
    """Give the counts of turns a label; of the four classes, a speaker, too."""
    emotions = {"angry": 1103, "excited": 1041, "happy": 595}
    emotions |= {"neutral": 1708, "sad": 1084}
    more = {"": 2510, "disgust": 2, "fearful": 40, "frustrated": 1849}
    more |= {"surprised": 107}
    women, men = (528, 481, 522, 528, 590), (557, 542, 629, 503, 651)
    speakers = {
        f"Ses0{k}{sex}": n
        for k, pair in enumerate(zip(women, men, strict=True), start=1)
        for sex, n in zip("FM", pair, strict=True)
    }
    return ExpectedContents(
        counts={"emotion": emotions | more}
        if all_turns
        else {"emotion": emotions, "speaker": speakers},
        source="the 5,531 turns of AV-SUPERB and MERBench, counted",
        separate_audio=modality == "av",
    )


def _turns(root: Path, paths: Iterable[str]) -> Iterator["re.Match[str]"]:
    """Yield the turns of all dialogs, each in the order of its evaluation file.

    Raises:
        ManifestError: If a line begins like a turn and is none, a turn is there
            twice, or a file has none.
    """
    lines: dict[str, str] = {}
    for path in paths:
        before = len(lines)
        for number, line in enumerate(lines_of(root, path), start=1):
            text = line.strip()
            if not text.startswith("["):
                continue  # the head of the table, and the raters' own lines
            match = TURN.fullmatch(text)
            why = ""
            if match is None or match["label"] not in EMOTIONS:
                why = f"{text[:60]!r} is no turn"
            elif match["turn"] in lines:
                why = (
                    f"{match['turn']} is there twice, before in {lines[match['turn']]}"
                )
            elif float(match["stop"]) <= float(match["start"]):
                why = f"{match['turn']} stops before it starts"
            if match is None or why:
                raise _damaged(path, f", line {number}: {why}")
            lines[match["turn"]] = f"{path}, line {number}"
            yield match
        if len(lines) == before:
            raise _damaged(path, ": no turn in it")


def _damaged(path: str, why: str) -> ManifestError:
    return ManifestError(
        f"{path}{why}; expected lines of [start - stop], the turn's name, one of "
        f"{' '.join(EMOTIONS)}, and three ratings; get the file again"
    )


def _row(
    turn: "re.Match[str]",
    pictures: dict[str, str],
    sounds: dict[str, str],
    modality: str,
) -> ManifestRow:
    clip_id, dialog = turn["turn"], turn["dialog"]
    start_s, stop_s = float(turn["start"]), float(turn["stop"])
    sound = sounds.get(clip_id.lower(), "")
    usual = f"Session{dialog[4]}/dialog/avi/DivX/{dialog}.avi"
    picture = pictures.get(dialog.lower(), usual)
    alone = bool(sound) and modality == "audio"
    wears_markers = dialog[5] == turn["who"]
    return ManifestRow(
        clip_id=clip_id,
        path=sound if alone else picture,
        emotion=EMOTIONS[turn["label"]],
        speaker=dialog[:5] + turn["who"],
        start_s=None if alone else start_s,
        stop_s=None if alone else stop_s,
        crop="left" if wears_markers else "right",
        sound="" if alone else sound,
        sound_at_s=start_s if sound and not alone else None,
        note="the recording ends before this turn: no picture"
        if clip_id in NO_PICTURE
        else "",
    )
