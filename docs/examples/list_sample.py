"""List a generated corpus in a CSV file for `mmder-prep manifest`."""

import csv
import sys
from pathlib import Path

EMOTION = {
    "01": "neutral",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
}
root, listed = Path(sys.argv[1]), Path(sys.argv[2])
with listed.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["clip_id", "path", "emotion", "speaker"])
    for path in sorted(root.rglob("*.mp4")):
        code = path.stem.split("-")[2]
        if code in EMOTION:
            name = path.relative_to(listed.parent).as_posix()
            writer.writerow([path.stem, name, EMOTION[code], path.parent.name])
