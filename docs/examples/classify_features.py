"""Train a logistic regression on exported features, one per fold."""

import csv
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data = np.load(sys.argv[1])
x, y = data["features_cfas"], data["class"]
fold = data["fold_ravdess-contiguous-6"]  # 1 to 6: the fold that tests the clip
predicted = np.empty_like(y)
for k in np.unique(fold[fold > 0]):
    train, test = (fold >= 0) & (fold != k), fold == k
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    predicted[test] = model.fit(x[train], y[train]).predict(x[test])
    print(f"fold {k}: WAR {np.mean(predicted[test] == y[test]):.1%}")
tested = fold > 0
war = np.mean(predicted[tested] == y[tested])
uar = balanced_accuracy_score(y[tested], predicted[tested])
print(f"all folds: WAR {war:.1%}, UAR {uar:.1%}")

with Path(sys.argv[2]).open("w", newline="") as file:
    rows = zip(data["clip_id"][tested], predicted[tested], strict=True)
    csv.writer(file).writerows([("clip_id", "predicted"), *rows])
