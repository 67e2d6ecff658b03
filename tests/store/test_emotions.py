"""Label sets are the published ones."""

from collections import Counter

from mmder_store.emotions import LABEL_SETS, VOCABULARY

TAKES = dict.fromkeys(LABEL_SETS["ravdess-8"].classes, 192) | {"neutral": 96}


def test_seven_classes_have_the_counts_of_the_paper() -> None:
    """288 neutral and 192 of each other emotion, 1,440 in total (paper IV-A1)."""
    seven = LABEL_SETS["ravdess-7"]
    counts = Counter(dict.fromkeys(seven.classes, 0))
    for emotion, takes in TAKES.items():
        counts[seven.classes[seven.label(emotion)]] += takes
    assert counts.pop("neutral") == 288
    assert set(counts.values()) == {192}
    assert sum(counts.values()) == 1440 - 288


def test_every_emotion_of_a_label_set_is_in_the_vocabulary() -> None:
    """An emotion that is in no label set has the label -1."""
    for labels in LABEL_SETS.values():
        assert set(labels.class_of) <= set(VOCABULARY)
        assert set(labels.class_of.values()) == set(labels.classes)
        assert labels.label("frustrated") == -1
