"""MSP-IMPROV: twelve actors in six sessions, four emotions.

The MSP-IMPROV corpus (Busso et al., 2017), for research on request. A man and a woman
per session improvise scenes that lead to target sentences. HiCMAE tests on 7,787 turns
of four emotions; two further labels (other, and no agreement) have no class.

Layout: ``session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi`` with the scenario of the
sentence, the speaker and the kind of turn (P, R, S, T), the audio in wav files of the
same names, and a text file of evaluations with lines such as
``UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.1; V:2.9; D:2.8 ; N:3.2;``. Known properties:

- Session k has the speakers F0k and M0k, and a fold tests one session.
- The label is the emotion that most raters chose.
- ``val.csv`` equals ``test.csv`` in all six folds that HiCMAE publishes, so its numbers
  were chosen on the test speakers.
- The layout was taken from public code that reads the corpus, and could not be checked
  with a copy of the release.
"""

import re
from collections.abc import Iterable
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
from mmder_store.protocols import PROTOCOLS

EMOTIONS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
COUNTS = {"angry": 792, "happy": 2640, "neutral": 3470, "sad": 885}
"""Number of turns of each emotion in the lists of HiCMAE."""
NAME = re.compile(
    r"(?:.*/)?MSP-IMPROV-(?P<turn>S\d{2}[AHNS]-(?P<speaker>[FM]0[1-6])-[PRST]-[A-Z0-9]+)"
    r"\.(?P<suffix>avi|mp4|wav)",
    re.IGNORECASE,
)
EVALUATION = re.compile(
    r"UTD-IMPROV-(?P<turn>[A-Z0-9-]+)\.avi\s*;\s*(?P<label>[A-Z])\s*;.*", re.IGNORECASE
)
"""Line of the evaluations with the label of a turn."""
SUFFIXES = {"av": ("avi", "mp4"), "audio": ("wav",)}


def find(root: Path, *, modality: str) -> Manifest:
    """Return the turns of four emotions under a folder.

    Raises:
        ManifestError: If there are no turns or no evaluations.
    """
    listing = scan(root)
    path_of: dict[str, str] = {}
    speaker_of: dict[str, str] = {}
    unexpected, duplicates, others = [], [], 0
    for path in listing.paths:
        match = NAME.fullmatch(path)
        if match is None:
            unexpected += media_names(path)
            continue
        if match["suffix"].lower() not in SUFFIXES[modality]:
            others += 1
            continue
        turn = match["turn"].upper()
        speaker_of[turn] = match["speaker"].upper()
        if path_of.setdefault(turn, path) != path:
            duplicates.append(path)
    labels = _read_labels(root, listing.paths)
    rows = tuple(
        ManifestRow(
            clip_id=turn,
            path=path,
            emotion=EMOTIONS[labels[turn]],
            speaker=speaker_of[turn],
        )
        for turn, path in sorted(path_of.items())
        if labels.get(turn) in EMOTIONS
    )
    if not rows:
        state = f"{len(path_of)} turns and the labels of {len(labels)}"
        raise no_clips_error(
            root,
            listing,
            corpus="msp-improv",
            wanted="labeled turn in session*/*/*/MSP-IMPROV-*",
            found=state if path_of or labels else "",
            advice=other_modality_advice(modality, others),
            source="Request MSP-IMPROV from its authors, unpack it",
        )
    no_class = len(path_of) - len(rows)
    return Manifest(
        corpus="msp-improv",
        root=root,
        rows=rows,
        label_sets=(LABEL_SETS["msp-improv-4"],),
        protocols=(PROTOCOLS["msp-improv-sessions-6"],),
        warnings=(
            f"{len(rows)} turns of MSP-IMPROV found in {root}; {no_class} others have "
            "another label or none",
            *skipped_warnings(
                "MSP-IMPROV", listing, unexpected=unexpected, duplicates=duplicates
            ),
        ),
        unexpected_files=tuple(unexpected),
        unreadable_files=listing.unreadable,
    )


def _read_labels(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return the label of each turn in the text files of evaluations."""
    labels: dict[str, str] = {}
    for path in paths:
        # The release spells the name "Evalution.txt".
        name = path.rsplit("/", 1)[-1].lower()
        if not (name.startswith("eval") and name.endswith(".txt")):
            continue
        for line in read_lines(root, path):
            match = EVALUATION.fullmatch(line.strip())
            if match is not None:
                labels.setdefault(match["turn"].upper(), match["label"].upper())
    return labels


def published(*, modality: str) -> ExpectedContents:
    """Return the number of turns per emotion, an upper bound."""
    del modality
    return ExpectedContents(
        counts={
            "emotion": {e: COUNTS[e] for e in EMOTIONS.values()},
            "speaker": dict.fromkeys(PROTOCOLS["msp-improv-sessions-6"].fold_of, 0),
        },
        source="the turns of four emotions in the lists of HiCMAE",
        exact=False,
    )
