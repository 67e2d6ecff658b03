"""Send the metrics of a run to MLflow: one run there per fold."""

import json
import sys
from itertools import groupby
from pathlib import Path

import mlflow

folder = Path(sys.argv[1])
config = json.loads((folder / "run.json").read_text())["config"]
lines = (folder / "metrics.jsonl").read_text().splitlines()


def name(row: dict[str, str | int]) -> str:
    """Return the name of the fold that a row belongs to."""
    return "{strategy} fold {fold} seed {seed}".format(**row)


mlflow.set_experiment("mmder")
for title, rows in groupby(sorted(map(json.loads, lines), key=name), key=name):
    with mlflow.start_run(run_name=f"{folder.name} {title}"):
        mlflow.log_params(config)
        for row in rows:
            values = {k: v for k, v in row.items() if isinstance(v, float)}
            mlflow.log_metrics(values, step=row["epoch"])
