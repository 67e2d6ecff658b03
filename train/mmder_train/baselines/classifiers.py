"""Classifiers of scikit-learn that the audio baseline can use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

Statistics = Float64[np.ndarray, "clip statistic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """A classifier of scikit-learn and its fixed settings.

    The settings were chosen once on RAVDESS, by WAR among the speakers 05 to 20, which
    fold 1 trains on (four groups of speakers in turn). They are the same for every fold
    and corpus. On folds 2 to 5 of RAVDESS the choice is therefore not blind, because
    their test speakers were used for it.
    """

    title: str
    settings: Mapping[str, float]
    create: Callable[[Mapping[str, float], int], Any]
    """Function from the settings and the number of statistics to a classifier."""


def _logistic(settings: Mapping[str, float], statistics: int) -> Any:  # noqa: ANN401
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=settings["c"], max_iter=1000)


def _svm(settings: Mapping[str, float], statistics: int) -> Any:  # noqa: ANN401
    from sklearn.svm import SVC

    return SVC(C=settings["c"], gamma=settings["gamma_scaled"] / statistics)


CLASSIFIERS = {
    "logistic": Classifier(
        title="logistic regression", settings={"c": 0.003}, create=_logistic
    ),
    "svm": Classifier(
        title="SVM, RBF kernel",
        settings={"c": 30.0, "gamma_scaled": 0.03},
        create=_svm,
    ),
}


def fit_and_predict(
    classifier: Classifier,
    statistics: Statistics,
    labels: Int64[np.ndarray, " clip"],
    train: Int64[np.ndarray, " train"],
    *,
    classes: int,
) -> Float64[np.ndarray, "clip class"]:
    """Fit a classifier on the training clips, and return the probabilities of all.

    The scaling of the statistics is fitted on the training clips too. Probabilities are
    the softmax of the classifier's scores. Those of the SVM are not calibrated: only
    their order has a meaning.

    Args:
        classifier: Row of `CLASSIFIERS`.
        statistics: Statistics of every clip.
        labels: Class index of every clip. Only those of training clips are used.
        train: Indices of the training clips.
        classes: Number of classes. A class without a training clip has probability 0.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(statistics[train])
    model = classifier.create(classifier.settings, statistics.shape[1])
    model.fit(scaler.transform(statistics[train]), labels[train])
    scores = model.decision_function(scaler.transform(statistics))
    if scores.ndim == 1:
        # For two classes, scikit-learn returns the score of the second minus the first.
        scores = np.stack([np.zeros(len(scores)), scores], axis=1)
    all_scores = np.full((len(statistics), classes), -np.inf)
    all_scores[:, model.classes_] = scores
    exponential = np.exp(all_scores - all_scores.max(axis=1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))
