"""The list of clips seen in pre-training: written, read, compared, and damaged."""

from typing import Any

import pytest

from mmder_store.errors import SettingsError, WeightsError
from mmder_train.weights import seen_clips
from mmder_train.weights.seen_clips import SeenClips, read_seen_clips

A, B, C = ("a" * 16, "b" * 16, "c" * 16)
SEEN = SeenClips(clips=2, hashes=frozenset((A, B)), speakers={"ravdess": ("01", "02")})


def test_a_list_is_read_as_it_was_written() -> None:
    metadata = {"pretraining": {"seen": SEEN.to_json()}}
    assert read_seen_clips("w", metadata) == SEEN
    assert read_seen_clips("w", {}) is None


def test_clips_are_seen_by_hash_or_by_speaker_of_the_corpus() -> None:
    hashes = [(C, A), (C,), (C,), ()]
    speakers = ["07", "02", "07", "01"]
    assert SEEN.seen(hashes, speakers, "ravdess") == [0, 1, 3]
    assert SEEN.seen(hashes, speakers, "grid") == [0]


def test_union_of_two_pre_trainings() -> None:
    other = SeenClips(
        clips=1, hashes=frozenset((C,)), speakers={"ravdess": ("03",), "grid": ("1",)}
    )
    both = SEEN.union(other)
    assert both.clips == 3
    assert both.hashes == {A, B, C}
    assert both.speakers == {"grid": ("1",), "ravdess": ("01", "02", "03")}
    assert both.describe() == "3 clips of speakers grid 1; ravdess 01, 02, 03"


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"seen": {"clips": 1, "hashes": "abc", "speakers": {}}},
        {"seen": {"clips": 1, "hashes": 5, "speakers": {}}},
        {"seen": {"clips": "x", "hashes": A, "speakers": {}}},
        {"seen": {"clips": 1, "hashes": A, "speakers": []}},
        [],
    ],
)
def test_damage_is_reported(entry: Any) -> None:
    with pytest.raises(WeightsError, match="weights w: the list of clips seen in"):
        read_seen_clips("w", {"pretraining": entry})


def test_too_many_clips_are_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seen_clips, "MAX_HEADER_BYTES", 20)
    with pytest.raises(SettingsError, match="2 clips: a weights file has room for"):
        SEEN.to_json()
