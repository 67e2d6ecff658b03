"""Send the metrics of a run to Weights & Biases: one run there per fold."""

import json
import sys
from itertools import groupby
from pathlib import Path

import wandb

folder = Path(sys.argv[1])
config = json.loads((folder / "run.json").read_text())["config"]
lines = (folder / "metrics.jsonl").read_text().splitlines()


def name(row: dict[str, str | int]) -> str:
    """Return the name of the fold that a row belongs to."""
    return "{strategy} fold {fold} seed {seed}".format(**row)


for title, rows in groupby(sorted(map(json.loads, lines), key=name), key=name):
    with wandb.init(
        project="mmder", group=folder.name, name=title, config=config
    ) as run:
        for row in rows:
            run.log(row, step=row["epoch"])
