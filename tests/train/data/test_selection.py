"""Clips are selected by status and emotion, and exclusions are counted by reason."""

from pathlib import Path

import pytest

from fake_store import make_store
from mmder_store import Store
from mmder_store.emotions import LABEL_SETS, label_set
from mmder_store.errors import SettingsError
from mmder_train.data import folds, selection
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


def test_only_speakers_with_a_usable_class_are_dealt_to_folds(tmp_path: Path) -> None:
    """Twelve speakers of 23 have an emotion: five folds, and no empty one.

    The unlabeled ones took up three of five folds once. A speaker of failed clips takes
    up none either; one without a face does, as the audio of the clips is used.
    """
    labeled = range(6, 18)
    store = make_store(
        tmp_path / "s.zarr",
        clips=8 * 23,
        modality="audio",
        speakers=23,
        protocols=(),
        status={
            **dict.fromkeys(range(8 * 6, 8 * 7), "failed"),
            **dict.fromkeys(range(8 * 7, 8 * 8), "no_face"),
        },
        emotions=lambda i: ("angry", "sad")[i % 2] if i // 8 in labeled else "",
    )
    names = list(dict.fromkeys(str(s) for s in store.columns["speaker"]))
    assert len(names) == 23
    speakers = selection.labeled_speakers(store, SEVEN)
    assert speakers == [names[i] for i in labeled[1:]]
    clips = selection.select_clips(store, strategy=STRATEGIES["audio"], labels=SEVEN)
    protocol = folds.choose_protocol(None, (), speakers)
    split = folds.split(clips.speaker, protocol)
    assert [len(f.speakers) for f in split] == [3, 2, 2, 2, 2]
    assert folds.fold_warnings(split, protocol, clips.label, SEVEN.classes) == []


def test_a_store_without_emotions_is_named_by_the_selection(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", clips=8, emotions=lambda _: "")
    assert selection.labeled_speakers(store, SEVEN) == []
    assert folds.choose_protocol("speakers-5", (), []).fold_of == {}
