"""Plot the loss of each fold over the epochs from the metrics of a run."""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

lines = Path(sys.argv[1], "metrics.jsonl").read_text().splitlines()
rows = [json.loads(line) for line in lines]
for name in sorted({(r["strategy"], r["fold"], r["seed"]) for r in rows}):
    own = [r for r in rows if (r["strategy"], r["fold"], r["seed"]) == name]
    label = "{} fold {} seed {}".format(*name)
    plt.plot([r["epoch"] for r in own], [r["loss"] for r in own], label=label)
plt.xlabel("epoch")
plt.ylabel("loss")
plt.legend()
plt.savefig(sys.argv[2])
print(f"{len(rows)} epochs in {sys.argv[2]}")
