"""Effect of hiding video or audio, compared with the differences between models."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

MIN_EFFECT = 0.001
"""Smallest change of a probability that counts as an effect."""
STANDARD_ERRORS = 2.0
"""Number of standard errors over the models that an effect must exceed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelAgreement:
    """Predictions of the fold models for one clip."""

    votes: Mapping[int, int]
    """Number of models by the class that they predict, most votes first."""
    lowest: float
    """Lowest probability of the class that the mean predicts, over the models."""
    highest: float
    """Highest probability of that class."""

    @property
    def is_unanimous(self) -> bool:
        """True if all models predict one class."""
        return len(self.votes) == 1


def model_agreement(
    probabilities: Float64[Tensor, "model class"], best: int
) -> ModelAgreement:
    """Compare the predictions of several models.

    Args:
        probabilities: Class probabilities of each model for one clip.
        best: Class that the mean of the models predicts.
    """
    votes = Counter(probabilities.argmax(1).tolist())
    return ModelAgreement(
        votes=dict(votes.most_common()),
        lowest=float(probabilities[:, best].min()),
        highest=float(probabilities[:, best].max()),
    )


def is_measurable(drops: Float64[Tensor, "model change"]) -> bool:
    """Return whether any of some changes of the input has an effect on the mean.

    The mean drop over the models must exceed `MIN_EFFECT`, and twice its standard error
    over the models: if one model reacts up and another down, nothing is measured. The
    standard error of a single model is unknown, and counts as zero.

    Args:
        drops: Drop of the probability by model, for each change.
    """
    models = len(drops)
    error = drops.std(0) / models**0.5 if models > 1 else torch.zeros(drops.shape[1:])
    limit = (STANDARD_ERRORS * error).clamp(min=MIN_EFFECT)
    return bool((drops.mean(0).abs() > limit).any())
