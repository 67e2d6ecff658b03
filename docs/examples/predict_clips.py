"""Predict the emotion of new clips with the models of a finished run."""

import sys
from pathlib import Path

from mmder_train import load_trained_run, predict_files


def main() -> None:
    """Print one line per clip."""
    run = load_trained_run(Path(sys.argv[1]))
    for prediction in predict_files([Path(sys.argv[2])], run):
        if prediction.emotion is None:
            print(prediction.clip_id, prediction.status, prediction.reason)
        else:
            print(prediction.clip_id, prediction.emotion)


if __name__ == "__main__":  # clips are prepared in processes of their own
    main()
