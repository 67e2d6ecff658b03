"""Published results: the rows of the paper's Tables I to III, and of later work.

Each row has its source, its number of classes, and whether its protocol excludes the
test speakers from training. Numbers are percent, as printed. A row whose classes were
not confirmed is not ranked.
"""

from dataclasses import dataclass
from typing import Literal

from mmder_train.reporting import published_settings as settings
from mmder_train.reporting.published_settings import Setting


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


OWN = "MultiMAE-DER"
HICMAE = "Sun et al., HiCMAE, 2024"
AVF = "Wu et al., AVF-MAE++, CVPR 2025, main table"
RESLSTM = "Krasnoproshin and Vashkevich, DSPA 2026"
CLAIP = "arXiv 2509.14527 (CLAIP-Emo), abstract"
S2D = "MSA-LMC/S2D, README"
R1_OMNI = "Zhao et al., R1-Omni, 2025"
VQ_OWN = "Sadok et al., VQ-MAE-AV, best head"

# Columns in the paper's order: method, modality, UAR, WAR, setting.
_Row = tuple[str, Literal["A", "V", "A+V"], float | None, float | None, Setting]
TABLE_1: tuple[_Row, ...] = (
    ("AV-LSTM", "A+V", None, 65.80, settings.UNKNOWN),
    ("AV-Gating", "A+V", None, 67.70, settings.UNKNOWN),
    ("MCBP", "A+V", None, 71.32, settings.UNKNOWN),
    ("MMTM", "A+V", None, 73.12, settings.UNKNOWN),
    ("ERANNs", "A+V", None, 74.80, settings.UNKNOWN),
    ("MSAF", "A+V", None, 74.86, settings.MSAF),
    ("CFN-SR", "A+V", None, 75.76, settings.CFN_SR),
    ("MATER", "A+V", None, 76.30, settings.UNKNOWN),
    ("MulT", "A+V", None, 76.60, settings.UNKNOWN),
    ("AVT", "A+V", None, 79.20, settings.AVT),
    ("VQ-MAE-AV", "A+V", None, 83.20, settings.VQ_RAVDESS),
    (OWN, "V", None, 74.13, settings.PAPER_RAVDESS),
    (OWN, "A", None, 80.55, settings.PAPER_RAVDESS),
    (f"{OWN}-RFAS", "A+V", 75.97, 75.44, settings.PAPER_RAVDESS),
    (f"{OWN}-SFAS", "A+V", 75.79, 76.94, settings.PAPER_RAVDESS),
    (f"{OWN}-OFOS", "A+V", 77.78, 78.61, settings.PAPER_RAVDESS),
    (f"{OWN}-CFAS", "A+V", 80.65, 81.39, settings.PAPER_RAVDESS),
    (f"{OWN}-FFLS", "A+V", 82.27, 83.56, settings.PAPER_RAVDESS),
    (f"{OWN}-FSLF", "A+V", 83.23, 83.61, settings.PAPER_RAVDESS),
)
TABLE_2: tuple[_Row, ...] = (
    ("EF-GRU", "A+V", None, 57.06, settings.UNKNOWN),
    ("LF-GRU", "A+V", None, 58.53, settings.UNKNOWN),
    ("TFN", "A+V", None, 63.09, settings.UNKNOWN),
    ("MATER", "A+V", None, 67.20, settings.UNKNOWN),
    ("AuxFormer", "A+V", None, 71.70, settings.UNKNOWN),
    ("AV-LSTM", "A+V", None, 72.90, settings.UNKNOWN),
    ("AV-Gating", "A+V", None, 74.00, settings.UNKNOWN),
    ("RAVER", "A+V", None, 77.30, settings.UNKNOWN),
    ("VQ-MAE-AV", "A+V", None, 78.40, settings.VQ_CREMAD),
    (OWN, "V", None, 77.83, settings.PAPER_CREMAD),
    (OWN, "A", None, 78.45, settings.PAPER_CREMAD),
    (f"{OWN}-RFAS", "A+V", 74.62, 74.90, settings.PAPER_CREMAD),
    (f"{OWN}-SFAS", "A+V", 75.73, 75.48, settings.PAPER_CREMAD),
    (f"{OWN}-OFOS", "A+V", 76.88, 76.54, settings.PAPER_CREMAD),
    (f"{OWN}-CFAS", "A+V", 78.24, 78.16, settings.PAPER_CREMAD),
    (f"{OWN}-FFLS", "A+V", 78.59, 78.83, settings.PAPER_CREMAD),
    (f"{OWN}-FSLF", "A+V", 79.12, 79.36, settings.PAPER_CREMAD),
)
TABLE_3: tuple[_Row, ...] = (
    ("AV-HuBERT", "A+V", None, 46.45, settings.AV_SUPERB),
    ("MAViL", "A+V", None, 54.94, settings.AV_SUPERB),
    ("AVBERT", "A+V", None, 61.87, settings.AV_SUPERB),
    (OWN, "V", None, 56.13, settings.PAPER_IEMOCAP),
    (OWN, "A", None, 58.69, settings.PAPER_IEMOCAP),
    (f"{OWN}-RFAS", "A+V", 58.62, 59.98, settings.PAPER_IEMOCAP),
    (f"{OWN}-SFAS", "A+V", 60.39, 60.17, settings.PAPER_IEMOCAP),
    (f"{OWN}-OFOS", "A+V", 61.87, 61.12, settings.PAPER_IEMOCAP),
    (f"{OWN}-CFAS", "A+V", 61.98, 62.25, settings.PAPER_IEMOCAP),
    (f"{OWN}-FFLS", "A+V", 62.92, 63.43, settings.PAPER_IEMOCAP),
    (f"{OWN}-FSLF", "A+V", 63.21, 63.73, settings.PAPER_IEMOCAP),
)
PEERS: tuple[tuple[str, str, _Row], ...] = (
    ("ravdess", AVF, ("MAE-DFER", "V", 75.91, 75.56, settings.PEER_RAVDESS)),
    ("ravdess", AVF, ("HuBERT-B", "A", 74.15, 74.37, settings.PEER_RAVDESS)),
    ("ravdess", AVF, ("SVFAP", "V", 75.15, 75.01, settings.PEER_RAVDESS)),
    ("ravdess", AVF, ("WavLM+", "A", 75.28, 75.36, settings.PEER_RAVDESS)),
    ("ravdess", RESLSTM, ("ResLSTM-SA-h64", "A", 62.3, None, settings.LUNA_JIMENEZ)),
    ("ravdess", RESLSTM, ("CNN14", "A", 76.6, None, settings.LUNA_QUOTED)),
    (
        "ravdess",
        RESLSTM,
        ("xlsr-wav2vec2", "A", 81.8, None, settings.LUNA_QUOTED),
    ),
    ("ravdess", R1_OMNI, ("HumanOmni-0.5B", "A+V", 9.38, 7.33, settings.ZERO_SHOT)),
    ("ravdess", R1_OMNI, ("MAFW-DFEW-SFT", "A+V", 30.75, 29.33, settings.ZERO_SHOT)),
    ("ravdess", R1_OMNI, ("R1-Omni", "A+V", 44.69, 43.00, settings.ZERO_SHOT)),
    ("ravdess", VQ_OWN, ("VQ-MAE-AV", "A+V", None, 84.80, settings.VQ_RAVDESS)),
    ("ravdess", AVF, ("AVF-MAE++", "A+V", 87.44, 87.57, settings.PEER_RAVDESS)),
    ("ravdess", HICMAE, ("HiCMAE-B", "A+V", 87.96, 87.99, settings.PEER_RAVDESS)),
    ("cremad", AVF, ("HuBERT-B", "A", 72.72, 72.57, settings.PEER_CREMAD)),
    ("cremad", AVF, ("SVFAP", "V", 77.31, 77.37, settings.PEER_CREMAD)),
    ("cremad", AVF, ("MAE-DFER", "V", 77.33, 77.38, settings.PEER_CREMAD)),
    ("cremad", VQ_OWN, ("VQ-MAE-AV", "A+V", None, 80.40, settings.VQ_CREMAD)),
    ("cremad", HICMAE, ("HiCMAE-B", "A+V", 84.91, 84.89, settings.PEER_CREMAD)),
    ("cremad", AVF, ("WavLM+", "A", 73.34, 73.39, settings.PEER_CREMAD)),
    ("cremad", AVF, ("AVF-MAE++ B", "A+V", 85.10, 85.09, settings.PEER_CREMAD)),
    ("cremad", AVF, ("AVF-MAE++ L", "A+V", 85.69, 85.60, settings.PEER_CREMAD)),
    ("cremad", AVF, ("AVF-MAE++ H", "A+V", 86.02, 85.95, settings.PEER_CREMAD)),
    ("cremad", AVF, ("AW-HuBERT", "A", 93.65, 93.65, settings.PEER_CREMAD_4)),
    ("cremad", AVF, ("HiCMAE", "A+V", 94.00, 94.13, settings.PEER_CREMAD_4)),
    ("cremad", AVF, ("AVF-MAE++", "A+V", 94.82, 94.92, settings.PEER_CREMAD_4)),
    ("iemocap", AVF, ("AVBERT", "V", None, 45.80, settings.TABLE_IEMOCAP)),
    ("iemocap", AVF, ("wav2vec2", "A", 69.88, 67.32, settings.TABLE_IEMOCAP)),
    ("iemocap", HICMAE, ("HiCMAE-B", "A+V", 68.21, 68.36, settings.PEER_IEMOCAP)),
    ("iemocap", AVF, ("AVF-MAE++ L", "A+V", 69.86, 71.65, settings.PEER_IEMOCAP)),
    ("iemocap", AVF, ("AVF-MAE++ H", "A+V", 72.71, 73.83, settings.PEER_IEMOCAP)),
)

FILMS: tuple[tuple[str, str, _Row], ...] = (
    ("dfew", CLAIP, ("CLAIP-Emo ViT-L", "A+V", None, 80.14, settings.DFEW)),
    ("dfew", AVF, ("AVF-MAE++ H", "A+V", 66.88, 77.45, settings.DFEW)),
    ("dfew", AVF, ("S4D (UniLearn)", "V", 66.80, 76.68, settings.DFEW)),
    ("dfew", S2D, ("S2D", "V", 61.82, 76.03, settings.DFEW)),
    ("dfew", AVF, ("HiCMAE", "A+V", 63.76, 75.01, settings.DFEW)),
    ("dfew", AVF, ("MAE-DFER", "V", 63.41, 74.43, settings.DFEW)),
    ("dfew", R1_OMNI, ("R1-Omni", "A+V", 56.27, 65.83, settings.DFEW)),
    ("mafw", CLAIP, ("CLAIP-Emo ViT-L", "A+V", None, 61.18, settings.MAFW)),
    ("mafw", AVF, ("AVF-MAE++ H", "A+V", 46.05, 60.24, settings.MAFW)),
    ("mafw", AVF, ("MMA-DFER", "A+V", 44.25, 58.45, settings.MAFW)),
    ("mafw", AVF, ("UniLearn", "V", 43.72, 58.44, settings.MAFW)),
    ("mafw", AVF, ("HiCMAE", "A+V", 42.65, 56.17, settings.MAFW)),
    ("mafw", R1_OMNI, ("R1-Omni", "A+V", 40.04, 57.68, settings.MAFW)),
    ("msp-improv", AVF, ("HiCMAE", "A+V", 65.78, 74.95, settings.MSP_IMPROV)),
    ("msp-improv", AVF, ("AVF-MAE++", "A+V", 70.05, 76.07, settings.MSP_IMPROV_FEWER)),
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
) + tuple(_published(*peer) for peer in (*PEERS, *FILMS))
"""All published results."""
