"""Predictions of another program are read as they are written, or refused."""

from pathlib import Path

import numpy as np
import pytest

from mmder_store.errors import SettingsError
from mmder_train.evaluation.foreign_predictions import (
    ForeignPredictions,
    read_predictions,
)

CLASSES = ("angry", "happy")


def read(tmp_path: Path, text: str) -> ForeignPredictions:
    path = tmp_path / "p.csv"
    path.write_text(text)
    return read_predictions(path, CLASSES)


def test_classes(tmp_path: Path) -> None:
    found = read(tmp_path, "clip_id,predicted,note\n a , Joy,x\nb,angry,\n")
    assert found.clip_id == ("a", "b")
    assert found.predicted.tolist() == [1, 0]
    assert found.probability.tolist() == [[0, 1], [1, 0]]
    assert not found.has_probabilities
    assert found.ignored_columns == ("note",)
    assert found.fold is None


def test_probabilities(tmp_path: Path) -> None:
    found = read(tmp_path, "p_happy,clip_id,p_angry,fold\n0.75,a,0.25,3\n0.4,b,0.6,1\n")
    assert found.predicted.tolist() == [1, 0]
    assert found.probability.tolist() == [[0.25, 0.75], [0.6, 0.4]]
    assert found.has_probabilities
    assert found.fold == (3, 1)
    assert found.ignored_columns == ()


def test_scores_of_a_spreadsheet_may_have_decimal_commas(tmp_path: Path) -> None:
    found = read(tmp_path, "clip_id;p_angry;p_happy\na;0,75;0,25\nb;0.4;0.6\n")
    assert found.probability.tolist() == [[0.75, 0.25], [0.4, 0.6]]


def test_class_decides_between_equal_scores(tmp_path: Path) -> None:
    """Rounding makes scores equal; the column `predicted` has the class."""
    found = read(tmp_path, "clip_id,predicted,p_angry,p_happy\na,happy,0.5,0.5\n")
    assert found.predicted.tolist() == [1]
    assert np.argmax(found.probability, axis=1).tolist() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,p_angry,p_happy\na,1,1\n", "line 2: angry and happy have the same"),
        ("clip_id,p_angry,p_happy\na,nan,1\n", "p_angry is 'nan'; expected a finite"),
        ("clip_id,p_angry,p_happy\na,1e999,1\n", "p_angry is '1e999'; expected a fi"),
        ("clip_id,p_angry,p_happy\na,,1\n", "p_angry is ''; expected a finite number"),
        ("clip_id,p_angry\na,1\n", "no column 'p_happy'; expected the column 'predic"),
        ("clip_id,p_sad,p_angry,p_happy\na,1,2,3\n", "column 'p_sad'; expected the"),
        ("clip_id\na\n", "no column 'p_angry'; expected the column 'predicted', or"),
        (
            "clip_id,predicted,p_angry,p_happy\na,angry,0.1,0.9\n",
            "line 2: predicted angry, but the highest score is that of happy",
        ),
        ("clip_id,predicted,fold\na,angry,0\n", "line 2: fold '0'; expected a number"),
        (f"clip_id,predicted,fold\na,angry,{'9' * 5000}\n", "expected a number from 1"),
    ],
)
def test_unclear_predictions_are_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
