"""Scores of predictions. Integers in, floats out; nothing here opens a file.

Conventions: labels are positions in the tuple of classes; a confusion matrix has the
true class in its rows and the predicted one in its columns.

Metrics: **WAR**, weighted average recall, is the share of clips that are right
(accuracy). **UAR**, unweighted average recall, is the mean over classes of the share
of their clips that are right; classes without a clip are left out of the mean.
"""

import numpy as np
from jaxtyping import Float64, Int64

DRAWS = 2000
"""Resamples of an interval. On 20 speakers of RAVDESS its ends, 8 points apart, then
move by 0.13 points (one sigma) from seed to seed."""


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


def intervals(
    counts: Int64[np.ndarray, "repeat speaker class class"],
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Give the bootstrap intervals of WAR and of UAR over speakers.

    Clips of one speaker are alike, so speakers are drawn, with replacement, as many as
    there are, and all clips of each go with them. The interval holds the middle of the
    scores of all draws (percentile method: Efron and Tibshirani 1993, chapter 13). It
    tells how the scores would move with other speakers, not with another training.

    Args:
        counts: Confusion matrices. Repeats are of the same clips, by another seed of
            the training; a score is their mean.
        seed: Of the draws.
        draws: How many.
        level: Share of the draws inside.

    Raises:
        ValueError: If a speaker has no clip, or there are fewer than two.
    """
    speakers = counts.shape[1]
    if speakers < 2 or not counts.sum(axis=(2, 3)).all():
        msg = f"interval over {speakers} speakers: expected two or more, all with clips"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=draws)
    drawn = np.einsum("ds,rsij->drij", times, counts)
    right = drawn.diagonal(axis1=2, axis2=3)
    total = drawn.sum(axis=3)
    share = np.full(total.shape, np.nan)
    np.divide(right, total, out=share, where=total > 0)
    scores = (right.sum(axis=2) / total.sum(axis=2), np.nanmean(share, axis=2))
    ends = ((1 - level) / 2, (1 + level) / 2)
    low_high = [np.quantile(score.mean(axis=1), ends) for score in scores]
    (war_low, war_high), (uar_low, uar_high) = low_high
    return (float(war_low), float(war_high)), (float(uar_low), float(uar_high))
