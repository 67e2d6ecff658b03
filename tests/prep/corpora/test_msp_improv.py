"""MSP-IMPROV: labels from the evaluations, speakers and kinds from the names."""

from pathlib import Path

from fake_corpora import lay
from mmder_prep.corpora import msp_improv

LINES = """UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:3.1; V:2.9; D:2.8 ; N:3.2;
\tC01; Anger; A:4.0; V:2.0; D:3.0; N:4.0
UTD-IMPROV-S20N-M06-T-MF02.avi; N; A:3.1; V:2.9; D:NaN ; N:3.2;
UTD-IMPROV-S02H-M01-R-FM03.avi; X; A:3.1; V:2.9; D:2.8 ; N:3.2;
"""


def test_turns_of_four_emotions_are_found(tmp_path: Path) -> None:
    lay(tmp_path, "Evalution.txt", text=LINES)
    turns = ("S01A-F01-P-FM01", "S20N-M06-T-MF02", "S02H-M01-R-FM03", "S03S-F02-S-FM01")
    for turn in turns:
        lay(tmp_path, f"session1/S/P/MSP-IMPROV-{turn}.avi")
    lay(tmp_path, "Audio/session1/S/P/MSP-IMPROV-S01A-F01-P-FM01.wav")
    found = msp_improv.find(tmp_path, modality="av")
    assert [(r.clip_id, r.emotion, r.speaker) for r in found.rows] == [
        ("S01A-F01-P-FM01", "angry", "F01"),
        ("S20N-M06-T-MF02", "neutral", "M06"),
    ]
    assert any("2 others have another label or none" in w for w in found.warnings)
    audio = msp_improv.find(tmp_path, modality="audio")
    assert [Path(r.path).suffix for r in audio.rows] == [".wav"]
