"""Selection of clips: excluded speakers and their copies, and held-out speakers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_store import make_store
from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.pretraining.clip_pool import (
    ClipPool,
    Speaker,
    excluded_speakers,
    gather_clips,
)

AUDIO = STRATEGIES["audio"]


@pytest.fixture(scope="module")
def sound(stores: Path) -> Store:
    return Store(stores / "sound.zarr")


def gather(
    *stores: Store,
    excluded: frozenset[Speaker] = frozenset(),
    val_fraction: float = 0.0,
    seed: int = 0,
) -> ClipPool:
    return gather_clips(
        stores,
        strategy=AUDIO,
        spectrogram="mfcc",
        excluded=excluded,
        val_fraction=val_fraction,
        seed=seed,
    )


def test_excluded_speakers_and_copies_of_their_clips_are_left_out(
    sound: Store, stores: Path
) -> None:
    """The second store has the same clips under another corpus."""
    copy = Store(stores / "sound.zarr")
    copy.spec = replace(copy.spec, corpus="elsewhere")
    pool = gather(sound, copy, excluded=frozenset({("handmade", "09")}))
    assert ("handmade", "09") not in pool.speakers
    assert ("elsewhere", "09") not in pool.speakers
    assert len(pool.train) == 48
    assert pool.excluded == {
        "copies of clips of excluded speakers": 8,
        "of excluded speakers": 8,
    }


def test_a_fraction_of_the_speakers_is_held_out(sound: Store) -> None:
    drawn = set()
    for seed in range(8):
        pool = gather(sound, val_fraction=0.1, seed=seed)
        (speaker,) = pool.val_speakers
        drawn.add(speaker)
        assert len(pool.val) == 8
        assert {pool.speakers[i] for i in pool.val} == {speaker}
        assert speaker not in {pool.speakers[i] for i in pool.train}
        assert np.union1d(pool.train, pool.val).tolist() == list(range(32))
    assert len(drawn) > 1
    assert len(gather(sound, val_fraction=0.99).val_speakers) == 3
    assert not len(gather(sound).val)


def test_speakers_of_a_fold_are_excluded(sound: Store) -> None:
    """Of the speakers 01, 09, 16 and 24, fold 3 of six tests 09."""
    assert excluded_speakers([sound], fold=3) == {("handmade", "09")}
    named = excluded_speakers([sound], fold=3, protocol="ravdess-contiguous-6")
    assert named == {("handmade", "09")}
    # Four speakers are dealt to four folds.
    assert excluded_speakers([sound], fold=2, protocol="speakers-5") == {
        ("handmade", "09")
    }
    both = excluded_speakers([sound], fold=3, names=("24",))
    assert both == {("handmade", "09"), ("handmade", "24")}
    with pytest.raises(SettingsError, match="several stores, name its protocol"):
        excluded_speakers([sound, sound], fold=3)


def test_stores_must_have_arrays_of_the_same_shape(
    sound: Store, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Store(stores / "av.zarr")
    monkeypatch.setattr(other, "row_shape", lambda name: (16, 40, 99))
    with pytest.raises(SettingsError, match="Prepare both with the same settings"):
        gather(sound, other)


def test_clips_need_no_class(tmp_path: Path) -> None:
    """Emotions that are in no label set are accepted."""
    store = make_store(
        tmp_path / "a.zarr",
        clips=4,
        modality="audio",
        emotions=lambda _: "unknown",
        status={3: "failed"},
    )
    pool = gather(store)
    assert pool.clip_id == ("c0000", "c0001", "c0002")
    assert pool.excluded == {"failed": 1}
    assert pool.seen().clips == 3
