"""Evaluation settings of published results: classes, speakers and folds."""

from dataclasses import dataclass
from typing import Literal

SpeakerIndependence = Literal[
    "yes", "no", "claimed", "not checked", "unknown: clips are split"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Evaluation setting, shared by the rows of one work."""

    labels: str | None
    """Name of the label set with the same classes, None if it is not confirmed."""
    classes: int | None
    """Number of classes, None if it is not confirmed."""
    speaker_independent: SpeakerIndependence
    """``yes`` if published code or splits show that no speaker is both trained and
    tested on, ``no`` if they show the opposite, ``claimed`` if only the text states
    it. The people in corpora that split clips are not known."""
    note: str
    """Differences that matter for a comparison."""
    protocol: str | None = None
    """Name of the fold protocol with the same tested speakers, None if there is none or
    it is not confirmed. The row is ranked only with runs of this protocol."""


UNKNOWN = Setting(
    labels=None,
    classes=None,
    speaker_independent="not checked",
    note="the source of the number does not state its classes and split",
)
PAPER_RAVDESS = Setting(
    labels="ravdess-7",
    classes=7,
    speaker_independent="claimed",
    note="one split, although the text says 6 folds of speakers: the released notebook "
    "prints the FSLF row from one test set of 360 clips, and its 1080 + 720 + 360 "
    "clips are more than the 1440 of the corpus",
)
PAPER_CREMAD = Setting(
    labels="cremad-6",
    classes=6,
    speaker_independent="claimed",
    note="5 folds of speakers according to the text; no code or split was published",
)
PAPER_IEMOCAP = Setting(
    labels="iemocap-4",
    classes=4,
    speaker_independent="claimed",
    note="5 folds according to the text; no code or split was published",
)
MSAF = Setting(
    labels="ravdess-8",
    classes=8,
    speaker_independent="yes",
    note="6 folds of consecutive actors; best epoch on the test fold",
    protocol="ravdess-contiguous-6",
)
AVT = Setting(
    labels="ravdess-8",
    classes=8,
    speaker_independent="yes",
    note="one split: tests actors 5, 10, 16, 19, validates on four others",
    protocol="ravdess-avt-1",
)
CFN_SR = Setting(
    labels=None,
    classes=None,
    speaker_independent="yes",
    note="5 folds over actors 1 to 20; 21 to 24 are never tested (default of the "
    "published code); printed as SFN-SR",
    protocol="ravdess-cfn-sr-5",
)
VQ_RAVDESS = Setting(
    labels="ravdess-8",
    classes=8,
    speaker_independent="yes",
    note="5 folds of 4 actors drawn without a seed; best epoch on the test fold",
)
VQ_CREMAD = Setting(
    labels="cremad-6",
    classes=6,
    speaker_independent="yes",
    note="folds of actors drawn without a seed; best epoch on the test fold",
)
AV_SUPERB = Setting(
    labels="iemocap-4",
    classes=4,
    speaker_independent="yes",
    note="leave one session out, frozen encoder, frames not cropped",
    protocol="iemocap-sessions-5",
)
PEER_RAVDESS = Setting(
    labels="ravdess-8",
    classes=8,
    speaker_independent="yes",
    note="6 folds of consecutive actors; no validation speakers; the text does not "
    "state whether the last or the best test epoch is printed",
    protocol="ravdess-contiguous-6",
)
PEER_CREMAD = Setting(
    labels="cremad-6",
    classes=6,
    speaker_independent="yes",
    note="5 folds of consecutive actors; no validation speakers; the text does not "
    "state whether the last or the best test epoch is printed",
    protocol="cremad-contiguous-5",
)
PEER_IEMOCAP = Setting(
    labels="iemocap-4",
    classes=4,
    speaker_independent="yes",
    note="leave one session out; the list of validation clips was not published",
    protocol="iemocap-sessions-5",
)

PEER_CREMAD_4 = Setting(
    labels="cremad-4",
    classes=4,
    speaker_independent="not checked",
    note="four of the six emotions; the table does not state the folds",
)
TABLE_IEMOCAP = Setting(
    labels="iemocap-4",
    classes=4,
    speaker_independent="not checked",
    note="quoted in the table of a later work, which does not state the folds",
)
LUNA_JIMENEZ = Setting(
    labels="ravdess-8",
    classes=8,
    speaker_independent="yes",
    note="5 folds of actors, and separate validation actors; trained from scratch, "
    "46,772 parameters; mean of 10 runs, standard deviation 1.2; WAR is not printed",
    protocol="ravdess-luna-jimenez-5",
)
LUNA_QUOTED = Setting(
    labels="ravdess-8",
    classes=8,
    speaker_independent="claimed",
    note="5 folds of actors; fine-tuned; quoted by the authors of ResLSTM-SA next to "
    "their UAR, and not confirmed in the original work, which may print accuracy",
    protocol="ravdess-luna-jimenez-5",
)
MSP_IMPROV = Setting(
    labels="msp-improv-4",
    classes=4,
    speaker_independent="yes",
    note="leave one session out, 7,787 clips; the validation lists equal the test "
    "lists",
    protocol="msp-improv-sessions-6",
)
MSP_IMPROV_FEWER = Setting(
    labels=None,
    classes=None,
    speaker_independent="not checked",
    note="the published logs have 2,450 tested clips, the lists of HiCMAE 7,787",
)
DFEW = Setting(
    labels="dfew-7",
    classes=7,
    speaker_independent="unknown: clips are split",
    note="the 5 folds of the corpus, which split clips of films",
    protocol="dfew-clips-5",
)
MAFW = Setting(
    labels="mafw-11",
    classes=11,
    speaker_independent="unknown: clips are split",
    note="the 5 folds of the corpus, which split clips of films",
    protocol="mafw-clips-5",
)
ZERO_SHOT = Setting(
    labels=None,
    classes=None,
    speaker_independent="claimed",
    note="language model of 0.5 B parameters, not trained on RAVDESS according to its "
    "authors; the training data is not published, and the number of tested clips and "
    "classes is not stated",
)
