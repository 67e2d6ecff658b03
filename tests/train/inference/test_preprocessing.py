"""New clips are preprocessed exactly as those of a store."""

import math
from pathlib import Path

import pytest

from crashing_jobs import CrashingSource
from mmder_prep.media.clip import Clip
from mmder_prep.pipeline.prepare_clip import ClipRow
from mmder_store import PrepSettings, Store
from mmder_store.errors import SettingsError
from mmder_train.inference.clip_list import find_clips
from mmder_train.inference.preprocessing import missing_modalities, prepare_clips
from small_run import SmallRun


def test_arrays_equal_those_of_the_store_bit_for_bit(small_run: SmallRun) -> None:
    store = Store(small_run.store)
    for row, clip in enumerate(small_run.clips):
        for name in ("clip_id", "status", "reason"):
            assert getattr(clip, name) == store.columns[name][row]
        for name, array in clip.arrays.items():
            assert array.tobytes() == store.read(name, row).tobytes(), (row, name)
    assert [c.status for c in small_run.clips].count("no_audio") == 1


@pytest.mark.usefixtures("forked_workers")
def test_a_crash_of_the_decoder_affects_only_its_clip(small_run: SmallRun) -> None:
    clips = find_clips(small_run.media / "clips.csv").clips[:3]
    crash = Clip(clip_id="crash", source=CrashingSource(Path("none")))
    settings = Store(small_run.store).spec.settings
    statuses: list[str] = []
    prepared = list(
        prepare_clips([clips[0], crash, *clips[1:]], settings, progress=statuses.append)
    )
    assert [p.clip_id for p in prepared] == ["c0", "crash", "c1", "c2"]
    assert [p.status for p in prepared] == ["ok", "failed", "ok", "ok"]
    assert statuses == ["ok", "failed", "ok", "ok"]
    assert prepared[1].reason == "its decoder ended the process"


def test_a_missing_dependency_is_named(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'av'\", name='av')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    clips = find_clips(small_run.media / "clips.csv").clips
    with pytest.raises(SettingsError, match="needs av to read media files"):
        next(prepare_clips(clips, Store(small_run.store).spec.settings))


@pytest.mark.parametrize(
    ("status", "facts", "missing"),
    [
        ("ok", {"faces_found": 16, "sound_rms_db": -30.0}, ()),
        ("ok", {"faces_found": 1, "sound_rms_db": -math.inf}, ()),
        ("no_face", {"faces_found": 0, "sound_rms_db": -30.0}, ("video",)),
        ("no_audio", {"faces_found": 3, "sound_rms_db": math.nan}, ("audio",)),
        ("no_audio", {"faces_found": 0, "sound_rms_db": math.nan}, ("video", "audio")),
        ("no_video", {"sound_rms_db": -30.0}, ("video",)),
        ("failed", {}, ("video", "audio")),
    ],
)
def test_the_status_names_one_missing_modality_and_the_facts_all(
    status: str, facts: dict[str, float], missing: tuple[str, ...]
) -> None:
    row = ClipRow(arrays={}, status=status, reason="", facts=facts)
    assert missing_modalities(row, PrepSettings()) == missing
