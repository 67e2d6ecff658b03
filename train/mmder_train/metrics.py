"""Scores of predictions. Integers in, floats out; nothing here opens a file.

Conventions: labels are positions in the tuple of classes; a confusion matrix has the
true class in its rows and the predicted one in its columns.

Metrics: **WAR**, weighted average recall, is the share of clips that are right
(accuracy). **UAR**, unweighted average recall, is the mean over classes of the share
of their clips that are right; classes without a clip are left out of the mean.
"""

import numpy as np
from jaxtyping import Float64, Int64


def confusion(
    true: Int64[np.ndarray, " clip"],
    predicted: Int64[np.ndarray, " clip"],
    *,
    classes: int,
) -> Int64[np.ndarray, "class class"]:
    """Count clips by true and by predicted class."""
    counts = np.bincount(true * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def recalls(
    counts: Int64[np.ndarray, "class class"],
) -> Float64[np.ndarray, " class"]:
    """Give the share of each class' clips that are right, NaN where it has none."""
    total = counts.sum(axis=1)
    share = np.full(len(counts), np.nan)
    np.divide(counts.diagonal(), total, out=share, where=total > 0)
    return share


def war(counts: Int64[np.ndarray, "class class"]) -> float:
    """Give the share of clips that are right, in [0, 1].

    Raises:
        ValueError: If no clip was counted.
    """
    if not counts.sum():
        msg = "WAR of no clips: expected at least one"
        raise ValueError(msg)
    return float(counts.trace() / counts.sum())


def uar(counts: Int64[np.ndarray, "class class"]) -> float:
    """Give the mean recall of the classes that occur, in [0, 1].

    Raises:
        ValueError: If no clip was counted.
    """
    if not counts.sum():
        msg = "UAR of no clips: expected at least one"
        raise ValueError(msg)
    return float(np.nanmean(recalls(counts)))


def chance(counts: Int64[np.ndarray, "class class"]) -> tuple[float, float]:
    """Give the WAR and the UAR of naming the most frequent class every time."""
    total = counts.sum(axis=1)
    return float(total.max() / total.sum()), float(1 / np.count_nonzero(total))
