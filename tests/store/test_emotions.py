"""Label sets and folds are the published ones."""

from collections import Counter

from mmder_store.emotions import LABEL_SETS, VOCABULARY
from mmder_store.protocols import PROTOCOLS

TAKES = dict.fromkeys(LABEL_SETS["ravdess-8"].classes, 192) | {"neutral": 96}


def test_seven_classes_hold_the_papers_counts() -> None:
    """288 neutral and 192 of each other, 1,440 in all (paper IV-A1)."""
    seven = LABEL_SETS["ravdess-7"]
    counts = Counter(dict.fromkeys(seven.classes, 0))
    for emotion, takes in TAKES.items():
        counts[seven.classes[seven.label(emotion)]] += takes
    assert counts.pop("neutral") == 288
    assert set(counts.values()) == {192}
    assert sum(counts.values()) == 1440 - 288


def test_every_emotion_of_a_label_set_is_in_the_vocabulary() -> None:
    """And what is in none has no label."""
    for labels in LABEL_SETS.values():
        assert set(labels.class_of) <= set(VOCABULARY)
        assert set(labels.class_of.values()) == set(labels.classes)
        assert labels.label("frustrated") == -1


def test_ravdess_folds_are_four_consecutive_actors_of_both_sexes() -> None:
    """Fold 1 is actors 1 to 4, fold 6 is 21 to 24; odd numbers are men."""
    fold_of = PROTOCOLS["ravdess-contiguous-6"].fold_of
    assert sorted(fold_of) == [f"{a:02d}" for a in range(1, 25)]
    for fold in range(1, 7):
        actors = [int(s) for s, f in fold_of.items() if f == fold]
        assert actors == list(range(4 * fold - 3, 4 * fold + 1))
        assert sum(a % 2 for a in actors) == 2
