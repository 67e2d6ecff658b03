"""Clips are selected by status and emotion, and exclusions are counted by reason."""

from pathlib import Path

import pytest

from fake_store import make_store
from mmder_store import Store
from mmder_store.emotions import LABEL_SETS, label_set
from mmder_store.errors import SettingsError
from mmder_train.data import selection
from mmder_train.fusion.strategies import STRATEGIES

SEVEN = LABEL_SETS["ravdess-7"]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("cfas", [4, 5, 6, 7, 8, 9]),
        ("audio", [0, 2, 4, 5, 6, 7, 8, 9]),
        ("video", [1, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_clips_are_selected_by_status(store: Store, name: str, rows: list[int]) -> None:
    clips = selection.select_clips(store, strategy=STRATEGIES[name], labels=SEVEN)
    assert clips.row.tolist() == rows
    assert sum(clips.excluded.values()) == 10 - len(rows)
    assert clips.excluded["failed"] == 1
    emotions = [store.columns["emotion"][i] for i in rows]
    classes = [SEVEN.classes[k] for k in clips.label]
    assert classes == [SEVEN.class_of[e] for e in emotions]


def test_emotions_without_a_class_are_excluded(store: Store) -> None:
    two = label_set("two", ("angry", "sad"))
    clips = selection.select_clips(store, strategy=STRATEGIES["cfas"], labels=two)
    assert clips.excluded["no class for 'fearful' in two"] == 1
    assert set(clips.label.tolist()) == {0}
    with pytest.raises(SettingsError, match=r"no clip for cfas \(1 failed, .*no_face"):
        selection.select_clips(
            store, strategy=STRATEGIES["cfas"], labels=label_set("none", ("excited",))
        )


def test_a_store_without_video_works_only_with_audio(tmp_path: Path) -> None:
    store = make_store(tmp_path / "audio.zarr", clips=8, modality="audio")
    clips = selection.select_clips(store, strategy=STRATEGIES["audio"], labels=SEVEN)
    assert len(clips.row) == 8
    for name in ("cfas", "rfas", "video"):
        with pytest.raises(SettingsError, match=r"only audio. Use --strategy audio"):
            selection.select_clips(store, strategy=STRATEGIES[name], labels=SEVEN)
