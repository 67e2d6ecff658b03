"""Published results: the rows of the paper's Tables I to III, and of later work.

Each row has its source, its number of classes, and whether its protocol excludes the
test speakers from training. Numbers are percent, as printed. A row whose classes were
not confirmed is not ranked.
"""

from dataclasses import dataclass
from typing import Literal

SpeakerIndependence = Literal["yes", "no", "claimed", "not checked"]


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
    it."""
    note: str
    """Differences that matter for a comparison."""
    protocol: str | None = None
    """Name of the fold protocol with the same tested speakers, None if there is none or
    it is not confirmed. The row is ranked only with runs of this protocol."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One published result."""

    corpus: str
    """Name of the corpus, as in a store."""
    method: str
    modality: Literal["A", "V", "A+V"]
    """Audio, video or both."""
    war: float | None
    """Weighted average recall in percent, None if it was not printed."""
    uar: float | None
    """Unweighted average recall in percent, None if it was not printed."""
    source: str
    """Publication that the number is quoted from."""
    setting: Setting


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
LUNA_JIMENEZ_QUOTED = Setting(
    labels="ravdess-8",
    classes=8,
    speaker_independent="claimed",
    note="5 folds of actors; fine-tuned; quoted by the authors of ResLSTM-SA next to "
    "their UAR, and not confirmed in the original work, which may print accuracy",
    protocol="ravdess-luna-jimenez-5",
)
ZERO_SHOT = Setting(
    labels=None,
    classes=None,
    speaker_independent="yes",
    note="zero-shot language model of 0.5 B parameters: trained on films (MAFW, DFEW) "
    "and not on RAVDESS; the number of tested clips and classes is not stated",
)

OWN = "MultiMAE-DER"
HICMAE = "Sun et al., HiCMAE, 2024"
AVF = "Wu et al., AVF-MAE++, CVPR 2025, main table"
RESLSTM = "Krasnoproshin and Vashkevich, DSPA 2026"
R1_OMNI = "Zhao et al., R1-Omni, 2025"
VQ_OWN = "Sadok et al., VQ-MAE-AV, best head"

# Columns in the paper's order: method, modality, UAR, WAR, setting.
_Row = tuple[str, Literal["A", "V", "A+V"], float | None, float | None, Setting]
TABLE_1: tuple[_Row, ...] = (
    ("AV-LSTM", "A+V", None, 65.80, UNKNOWN),
    ("AV-Gating", "A+V", None, 67.70, UNKNOWN),
    ("MCBP", "A+V", None, 71.32, UNKNOWN),
    ("MMTM", "A+V", None, 73.12, UNKNOWN),
    ("ERANNs", "A+V", None, 74.80, UNKNOWN),
    ("MSAF", "A+V", None, 74.86, MSAF),
    ("CFN-SR", "A+V", None, 75.76, CFN_SR),
    ("MATER", "A+V", None, 76.30, UNKNOWN),
    ("MulT", "A+V", None, 76.60, UNKNOWN),
    ("AVT", "A+V", None, 79.20, AVT),
    ("VQ-MAE-AV", "A+V", None, 83.20, VQ_RAVDESS),
    (OWN, "V", None, 74.13, PAPER_RAVDESS),
    (OWN, "A", None, 80.55, PAPER_RAVDESS),
    (f"{OWN}-RFAS", "A+V", 75.97, 75.44, PAPER_RAVDESS),
    (f"{OWN}-SFAS", "A+V", 75.79, 76.94, PAPER_RAVDESS),
    (f"{OWN}-OFOS", "A+V", 77.78, 78.61, PAPER_RAVDESS),
    (f"{OWN}-CFAS", "A+V", 80.65, 81.39, PAPER_RAVDESS),
    (f"{OWN}-FFLS", "A+V", 82.27, 83.56, PAPER_RAVDESS),
    (f"{OWN}-FSLF", "A+V", 83.23, 83.61, PAPER_RAVDESS),
)
TABLE_2: tuple[_Row, ...] = (
    ("EF-GRU", "A+V", None, 57.06, UNKNOWN),
    ("LF-GRU", "A+V", None, 58.53, UNKNOWN),
    ("TFN", "A+V", None, 63.09, UNKNOWN),
    ("MATER", "A+V", None, 67.20, UNKNOWN),
    ("AuxFormer", "A+V", None, 71.70, UNKNOWN),
    ("AV-LSTM", "A+V", None, 72.90, UNKNOWN),
    ("AV-Gating", "A+V", None, 74.00, UNKNOWN),
    ("RAVER", "A+V", None, 77.30, UNKNOWN),
    ("VQ-MAE-AV", "A+V", None, 78.40, VQ_CREMAD),
    (OWN, "V", None, 77.83, PAPER_CREMAD),
    (OWN, "A", None, 78.45, PAPER_CREMAD),
    (f"{OWN}-RFAS", "A+V", 74.62, 74.90, PAPER_CREMAD),
    (f"{OWN}-SFAS", "A+V", 75.73, 75.48, PAPER_CREMAD),
    (f"{OWN}-OFOS", "A+V", 76.88, 76.54, PAPER_CREMAD),
    (f"{OWN}-CFAS", "A+V", 78.24, 78.16, PAPER_CREMAD),
    (f"{OWN}-FFLS", "A+V", 78.59, 78.83, PAPER_CREMAD),
    (f"{OWN}-FSLF", "A+V", 79.12, 79.36, PAPER_CREMAD),
)
TABLE_3: tuple[_Row, ...] = (
    ("AV-HuBERT", "A+V", None, 46.45, AV_SUPERB),
    ("MAViL", "A+V", None, 54.94, AV_SUPERB),
    ("AVBERT", "A+V", None, 61.87, AV_SUPERB),
    (OWN, "V", None, 56.13, PAPER_IEMOCAP),
    (OWN, "A", None, 58.69, PAPER_IEMOCAP),
    (f"{OWN}-RFAS", "A+V", 58.62, 59.98, PAPER_IEMOCAP),
    (f"{OWN}-SFAS", "A+V", 60.39, 60.17, PAPER_IEMOCAP),
    (f"{OWN}-OFOS", "A+V", 61.87, 61.12, PAPER_IEMOCAP),
    (f"{OWN}-CFAS", "A+V", 61.98, 62.25, PAPER_IEMOCAP),
    (f"{OWN}-FFLS", "A+V", 62.92, 63.43, PAPER_IEMOCAP),
    (f"{OWN}-FSLF", "A+V", 63.21, 63.73, PAPER_IEMOCAP),
)
PEERS: tuple[tuple[str, str, _Row], ...] = (
    ("ravdess", AVF, ("MAE-DFER", "V", 75.91, 75.56, PEER_RAVDESS)),
    ("ravdess", AVF, ("HuBERT-B", "A", 74.15, 74.37, PEER_RAVDESS)),
    ("ravdess", AVF, ("SVFAP", "V", 75.15, 75.01, PEER_RAVDESS)),
    ("ravdess", AVF, ("WavLM+", "A", 75.28, 75.36, PEER_RAVDESS)),
    ("ravdess", RESLSTM, ("ResLSTM-SA-h64", "A", 62.3, None, LUNA_JIMENEZ)),
    ("ravdess", RESLSTM, ("CNN14", "A", 76.6, None, LUNA_JIMENEZ_QUOTED)),
    ("ravdess", RESLSTM, ("xlsr-wav2vec2", "A", 81.8, None, LUNA_JIMENEZ_QUOTED)),
    ("ravdess", R1_OMNI, ("HumanOmni-0.5B", "A+V", 9.38, 7.33, ZERO_SHOT)),
    ("ravdess", R1_OMNI, ("MAFW-DFEW-SFT", "A+V", 30.75, 29.33, ZERO_SHOT)),
    ("ravdess", R1_OMNI, ("R1-Omni", "A+V", 44.69, 43.00, ZERO_SHOT)),
    ("ravdess", VQ_OWN, ("VQ-MAE-AV", "A+V", None, 84.80, VQ_RAVDESS)),
    ("ravdess", AVF, ("AVF-MAE++", "A+V", 87.44, 87.57, PEER_RAVDESS)),
    ("ravdess", HICMAE, ("HiCMAE-B", "A+V", 87.96, 87.99, PEER_RAVDESS)),
    ("cremad", AVF, ("HuBERT-B", "A", 72.72, 72.57, PEER_CREMAD)),
    ("cremad", AVF, ("SVFAP", "V", 77.31, 77.37, PEER_CREMAD)),
    ("cremad", AVF, ("MAE-DFER", "V", 77.33, 77.38, PEER_CREMAD)),
    ("cremad", VQ_OWN, ("VQ-MAE-AV", "A+V", None, 80.40, VQ_CREMAD)),
    ("cremad", HICMAE, ("HiCMAE-B", "A+V", 84.91, 84.89, PEER_CREMAD)),
    ("cremad", AVF, ("WavLM+", "A", 73.34, 73.39, PEER_CREMAD)),
    ("cremad", AVF, ("AVF-MAE++ B", "A+V", 85.10, 85.09, PEER_CREMAD)),
    ("cremad", AVF, ("AVF-MAE++ L", "A+V", 85.69, 85.60, PEER_CREMAD)),
    ("cremad", AVF, ("AVF-MAE++ H", "A+V", 86.02, 85.95, PEER_CREMAD)),
    ("cremad", AVF, ("AW-HuBERT", "A", 93.65, 93.65, PEER_CREMAD_4)),
    ("cremad", AVF, ("HiCMAE", "A+V", 94.00, 94.13, PEER_CREMAD_4)),
    ("cremad", AVF, ("AVF-MAE++", "A+V", 94.82, 94.92, PEER_CREMAD_4)),
    ("iemocap", AVF, ("AVBERT", "V", None, 45.80, TABLE_IEMOCAP)),
    ("iemocap", AVF, ("wav2vec2", "A", 69.88, 67.32, TABLE_IEMOCAP)),
    ("iemocap", HICMAE, ("HiCMAE-B", "A+V", 68.21, 68.36, PEER_IEMOCAP)),
    ("iemocap", AVF, ("AVF-MAE++ L", "A+V", 69.86, 71.65, PEER_IEMOCAP)),
    ("iemocap", AVF, ("AVF-MAE++ H", "A+V", 72.71, 73.83, PEER_IEMOCAP)),
)


def _published(corpus: str, source: str, row: _Row) -> Published:
    method, modality, uar, war, setting = row
    return Published(
        corpus=corpus,
        method=method,
        modality=modality,
        war=war,
        uar=uar,
        source=source,
        setting=setting,
    )


ROWS = tuple(
    _published(corpus, f"Xiang et al. 2024, Table {number}", row)
    for corpus, number, table in (
        ("ravdess", "I", TABLE_1),
        ("cremad", "II", TABLE_2),
        ("iemocap", "III", TABLE_3),
    )
    for row in table
) + tuple(_published(*peer) for peer in PEERS)
"""All published results."""
