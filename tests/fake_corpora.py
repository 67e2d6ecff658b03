"""Folders with the layout of the published corpora; the files hold no media."""

from pathlib import Path

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
RATERS = (
    "C-E2:\tNeutral;\t()",
    "C-E4:\tHappiness;\t(surprised)",
    "C-F1:\tNeutral state;\t()",
    "A-E3:\tval 3; act 2; dom  2;\t()",
    "A-F1:\tval 3; act 2; dom  1;\t()",
)


def lay(root: Path, *names: str, text: str = "x") -> Path:
    """Write a small file of each name under a folder, and return the folder."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def evaluation(*turns: tuple[float, float, str, str]) -> str:
    """Return the text of an IEMOCAP evaluation file of (start, stop, turn, label)."""
    lines = [HEADER, ""]
    for start_s, stop_s, turn, label in turns:
        head = f"[{start_s:.4f} - {stop_s:.4f}]\t{turn}\t{label}\t[2.5000, 2.5, 2.5000]"
        lines += [head, *RATERS, ""]
    return "\n".join(lines) + "\n"


def dialog(
    root: Path, name: str, *turns: tuple[float, float, str, str], wavs: bool = True
) -> Path:
    """Write one dialog of IEMOCAP under the folder of the release."""
    session = root / f"Session{name[4]}"
    lay(session, f"dialog/EmoEvaluation/{name}.txt", text=evaluation(*turns))
    for rater in ("Categorical/{}_e2_cat", "Attribute/{}_e3_atr", "Self-evaluation/{}"):
        lay(session, f"dialog/EmoEvaluation/{rater.format(name)}.txt", text="[no turn")
    lay(session, f"dialog/avi/DivX/{name}.avi", f"dialog/avi/DivX/._{name}.avi")
    lay(session, f"dialog/wav/{name}.wav", f"dialog/transcriptions/{name}.txt")
    for *_, turn, _ in turns if wavs else ():
        lay(session, f"sentences/wav/{name}/{turn}.wav")
    return root
