"""A list of training clips shows whether a tested speaker was trained on."""

from pathlib import Path

import pytest

from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.evaluation.train_list import read_train_list

TESTED = {1: frozenset({"01"}), 3: frozenset({"09"})}


def check(store: Path, tmp_path: Path, text: str) -> list[str]:
    """Check a list against a store whose clips 0 to 7 are of 01, 8 to 15 of 09."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    return read_train_list(path).check(Store(store), TESTED)


def test_separate_speakers(audio_store: Path, tmp_path: Path) -> None:
    assert check(audio_store, tmp_path, "clip_id\nc0016\nc0017\n") == []
    assert check(audio_store, tmp_path, "clip_id,fold\nc0000,3\nc0008,1\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id\nc0016\nc0008\n", "line 3: clip 'c0008' was trained on"),
        ("clip_id,fold\nc0000,1\nc0008,1\n", "speaker '01' is tested in fold 1"),
        ("clip_id,fold\nc0000,3\n", "no training clip of fold 1"),
        ("clip_id\nx\ny\n", "none of its clips is in store sound.zarr, the first"),
    ],
)
def test_faults(text: str, message: str, audio_store: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        check(audio_store, tmp_path, text)
    assert message in str(caught.value)
