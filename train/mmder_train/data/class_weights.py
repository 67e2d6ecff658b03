"""Weights of the classes in the loss, from their frequencies on the train side."""

import numpy as np
from jaxtyping import Float64, Int64


def class_weight(
    name: str, labels: Int64[np.ndarray, " clip"], *, classes: int
) -> Float64[np.ndarray, " {classes}"] | None:
    """Return a weight per class, or None if all classes have the same weight.

    Balanced weights are inversely proportional to the number of clips of a class. The
    mean weight of the clips is 1. A class without clips has the weight 0.

    Source: ``compute_class_weight("balanced")`` of scikit-learn, after King and Zeng,
    Logistic Regression in Rare Events Data, 2001.

    Args:
        name: Value of ``--class-weights``: ``none`` or ``balanced``.
        labels: Class of each training clip.
        classes: Number of classes.
    """
    if name == "none":
        return None
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights
