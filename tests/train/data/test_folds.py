"""No speaker is on both sides of a fold, and missing speakers are reported."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_store.errors import SettingsError
from mmder_store.protocols import PROTOCOLS, FoldProtocol
from mmder_train.data import folds

SIX = PROTOCOLS["ravdess-contiguous-6"]


@given(
    st.lists(st.sampled_from([f"s{i:02d}" for i in range(12)]), min_size=2).filter(
        lambda speakers: len(set(speakers)) > 1
    )
)
def test_every_speaker_is_tested_once_and_never_also_trained_on(
    speakers: list[str],
) -> None:
    split = folds.split(speakers, folds.contiguous(speakers))
    assert len(split) == min(5, len(set(speakers)))
    tested = np.concatenate([f.test for f in split])
    assert sorted(tested.tolist()) == list(range(len(speakers)))
    for fold in split:
        train = {speakers[i] for i in fold.train}
        test = {speakers[i] for i in fold.test}
        assert not train & test
        assert test == set(fold.speakers)
        assert len(fold.train) + len(fold.test) == len(speakers)
    # The groups are contiguous in the order of the speakers' names.
    order = [s for fold in split for s in fold.speakers]
    assert order == sorted(order)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
def test_named_protocols_separate_speakers(protocol: FoldProtocol) -> None:
    everyone = {*protocol.fold_of, *protocol.only_trained, *protocol.held_out}
    speakers = [s for s in sorted(everyone) for _ in range(3)]
    split = folds.split(speakers, protocol)
    assert [f.number for f in split] == sorted(set(protocol.fold_of.values()))
    for fold in split:
        assert not {speakers[i] for i in fold.train} & set(fold.speakers)
        assert {protocol.fold_of[s] for s in fold.speakers} == {fold.number}
        trained = {speakers[i] for i in fold.train}
        assert not trained & set(protocol.held_out)
        assert trained | set(fold.speakers) | set(protocol.held_out) == everyone
    labels = np.zeros(len(speakers), dtype=np.int64)
    warnings = folds.fold_warnings(split, protocol, labels, ["a"])
    assert len(warnings) == bool(protocol.held_out)


def test_one_speaker_cannot_be_split() -> None:
    with pytest.raises(SettingsError, match="speaker '01', so no other speaker"):
        folds.split(["01", "01"], SIX)
    with pytest.raises(SettingsError, match="speakers of one fold"):
        folds.split(["01", "02"], SIX)


def test_a_protocol_without_test_or_training_clips_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no clip of a test speaker"):
        folds.split(["01", "11"], PROTOCOLS["ravdess-avt-1"])
    with pytest.raises(SettingsError, match="no other speaker remains"):
        folds.split(["05", "11"], PROTOCOLS["ravdess-avt-1"])


def test_an_unlisted_speaker_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no fold for speaker '99'.*speakers-5"):
        folds.split(["01", "05", "99"], SIX)


def test_choice_of_protocol() -> None:
    speakers = ["a", "b"]
    assert folds.choose_protocol(None, [SIX], speakers) is SIX
    assert folds.choose_protocol(None, [], speakers).name == "speakers-5"
    assert folds.choose_protocol("speakers-5", [SIX], speakers).fold_of == {
        "a": 1,
        "b": 2,
    }
    with pytest.raises(SettingsError, match="has ravdess-contiguous-6, speakers-5"):
        folds.choose_protocol("seven", [SIX], speakers)


def test_missing_folds_speakers_and_classes_are_reported() -> None:
    speakers = ["01", "02", "03", "04", "05"]
    split = folds.split(speakers, SIX)
    labels = np.array([0, 0, 0, 1, 0])
    lines = folds.fold_warnings(split, SIX, labels, ["sad", "happy"])
    assert "fold 6 of ravdess-contiguous-6: no clips in this store, skipped" in lines
    assert "fold 2 of ravdess-contiguous-6: 1 of its 4 speakers" in lines
    assert "fold 1: tests happy, without any training clip" in lines
    with pytest.raises(SettingsError, match=r"--fold 6: no clips.*of which 1, 2"):
        folds.select_folds(split, 6, SIX)
    assert [f.number for f in folds.select_folds(split, 2, SIX)] == [2]


def test_folds_of_clips_of_unknown_speakers_are_marked() -> None:
    protocol = FoldProtocol(
        name="clips-2", fold_of={"1": 1, "2": 2}, source="", speakers="unknown"
    )
    split = folds.split(["1", "2"], protocol)
    (line,) = folds.fold_warnings(split, protocol, np.array([0, 0]), ["sad"])
    assert "the same person can be in training and test" in line
    assert folds.speaker_separation("clips-2", [SIX, protocol]) == "unknown"
    assert folds.speaker_separation(SIX.name, [SIX, protocol]) == "apart"
    assert folds.speaker_separation(folds.SPEAKERS, [SIX, protocol]) == "apart"
    assert "speakers" not in SIX.to_json()
