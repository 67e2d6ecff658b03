"""Fold protocols of the corpora: every speaker has exactly one part."""

from collections import Counter

import pytest

from mmder_store.protocols import MEAD_SPEAKERS, PROTOCOLS


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_speaker_is_in_exactly_one_part(name: str) -> None:
    """The parts are the test folds, training only, and held out."""
    protocol = PROTOCOLS[name]
    in_parts = [*protocol.fold_of, *protocol.only_trained, *protocol.held_out]
    speakers = {
        "ravdess": [f"{a:02d}" for a in range(1, 25)],
        "cremad": [str(a) for a in range(1001, 1092)],
        "iemocap": [f"Ses0{k}{sex}" for k in range(1, 6) for sex in "FM"],
        "mead": list(MEAD_SPEAKERS),
        "savee": ["DC", "JE", "JK", "KL"],
        "msp": [f"{sex}0{k}" for k in range(1, 7) for sex in "FM"],
        "enterface": [f"s{number:02d}" for number in range(1, 45)],
    }[name.split("-")[0]]
    assert sorted(in_parts) == sorted(speakers)
    folds = set(protocol.fold_of.values())
    assert folds == set(range(1, int(name.rsplit("-", 1)[1]) + 1))
    assert protocol.source


def test_special_parts_of_some_protocols() -> None:
    """AVT has validation actors; CFN-SR never tests the last four actors."""
    avt = PROTOCOLS["ravdess-avt-1"]
    assert sorted(avt.fold_of) == ["05", "10", "16", "19"]
    assert avt.held_out == ("11", "13", "18", "22")
    assert PROTOCOLS["ravdess-cfn-sr-5"].only_trained == ("21", "22", "23", "24")
    for fold in range(1, 6):
        tested = [
            s for s, k in PROTOCOLS["iemocap-sessions-5"].fold_of.items() if k == fold
        ]
        assert sorted(tested) == [f"Ses0{fold}F", f"Ses0{fold}M"]
    men, women = Counter[int](), Counter[int]()
    for speaker, fold in PROTOCOLS["mead-speakers-5"].fold_of.items():
        (men if speaker[0] == "M" else women)[fold] += 1
    assert set(men.values()) == {5, 6}
    assert set(women.values()) == {4, 5}


def test_ravdess_folds_are_four_consecutive_actors_of_both_sexes() -> None:
    """Fold 1 is actors 1 to 4, fold 6 is 21 to 24; odd numbers are men."""
    fold_of = PROTOCOLS["ravdess-contiguous-6"].fold_of
    assert sorted(fold_of) == [f"{a:02d}" for a in range(1, 25)]
    for fold in range(1, 7):
        actors = [int(s) for s, f in fold_of.items() if f == fold]
        assert actors == list(range(4 * fold - 3, 4 * fold + 1))
        assert sum(a % 2 for a in actors) == 2
