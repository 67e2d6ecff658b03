"""Scores of a run on unseen speakers, and whether its predictions mean anything."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmder_train.evaluation import metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelQuality:
    """Scores of some folds of a run on their test sides, as fractions in [0, 1]."""

    war: float
    uar: float
    chance_war: float
    """WAR of always predicting the most frequent class."""
    chance_uar: float
    """UAR of always predicting one class."""
    chance_margin: float
    """Twice the standard error of the UAR of a model that guesses."""
    has_random_encoder: bool
    """True if the encoder is frozen and was never trained."""

    @property
    def is_chance(self) -> bool:
        """True if the UAR is within the margin around that of guessing."""
        return self.uar <= self.chance_uar + self.chance_margin

    def scores_text(self) -> str:
        """Return the scores next to those of guessing."""
        return (
            f"WAR {self.war:.1%}, UAR {self.uar:.1%} on unseen speakers (always the "
            f"largest class: {self.chance_war:.1%}, {self.chance_uar:.1%})"
        )

    def defects(self) -> list[str]:
        """Return why the predictions mean little, empty if they mean something."""
        defects = []
        if self.is_chance:
            defects.append("not better than chance")
        if self.has_random_encoder:
            defects.append("frozen encoder with random weights")
        return defects

    def warning(self) -> str | None:
        """Return one line with the scores if the predictions mean little."""
        if not self.defects():
            return None
        consequence = (
            "the emotions of this model mean nothing"
            if self.is_chance
            else "the emotions of this model are for trying out, not for results"
        )
        reasons = ", ".join(self.defects())
        return f"warning: {consequence} ({reasons}). {self.scores_text()}"


def model_quality(
    results: Mapping[str, Any], strategy: str, folds: Sequence[int]
) -> ModelQuality:
    """Return the quality of the models of some folds.

    A model that guesses has a recall of ``1 / classes`` in each class. The standard
    error of its UAR treats clips as independent, which is an approximation.

    Args:
        results: Contents of ``results.json``.
        strategy: Name of the strategy.
        folds: Numbers of the folds.
    """
    scored = results["strategies"][strategy]["folds"]
    counts = np.sum(
        [fold["confusion"] for fold in scored if int(fold["fold"]) in folds], axis=0
    )
    chance_war, chance_uar, _ = metrics.chance(counts)
    clips = counts.sum(axis=1)
    variances = chance_uar * (1 - chance_uar) / clips[clips > 0]
    config = results["config"]
    return ModelQuality(
        war=metrics.war(counts),
        uar=metrics.uar(counts),
        chance_war=chance_war,
        chance_uar=chance_uar,
        chance_margin=2 * math.sqrt(variances.sum()) / len(variances),
        has_random_encoder=has_random_encoder(config),
    )


def has_random_encoder(config: Mapping[str, Any]) -> bool:
    """Return whether the settings of a run freeze an encoder with random weights."""
    return config.get("method") == "linear-probe" and config.get("weights") == "none"
