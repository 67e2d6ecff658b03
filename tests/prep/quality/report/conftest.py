"""A store with planted problems, shared by the tests of the report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from fake_store import make_store, seal_edits

HOSTILE = "<script>document.title='x'</script>\u202e\"'&"


def boxes(lefts: Any) -> Any:
    """Return square crop boxes of 100 pixels in 16 frames."""
    lefts = np.broadcast_to(np.asarray(lefts, float), 16)
    return np.stack([lefts, 0 * lefts, lefts + 100, np.full(16, 100.0)], axis=1)


@pytest.fixture(scope="session")
def hostile_name() -> str:
    """Return the name of clip 4, which has markup and a hidden character."""
    return HOSTILE


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of twelve clips, some of them with one problem each."""
    path = tmp_path_factory.mktemp("report") / "planted.zarr"
    make_store(
        path, clips=12, planted="picture sound", status={1: "failed", 2: "no_audio"}
    )
    rows = range(12)
    columns: dict[str, dict[int, Any]] = {
        "clip_id": {4: HOSTILE},
        "reason": {1: "cannot read '/home/someone/corpus/a b.mp4'", 2: "no sound"},
        "note": {3: "known to be cut short"},
        "face_box_px": {r: boxes(50 + 20 * np.arange(16) * (r == 5)) for r in rows},
        "face_score": {r: np.full(16, 0.99) for r in rows},
        "frame_time_s": {r: 0.2 * np.arange(16) for r in rows},
        "faces_searched": {r: 9 for r in rows if r != 1},
        "faces_found": {r: 9 for r in rows if r != 1},
        "clamped": {r: 9 if r == 6 else 0 for r in rows if r != 1},
        "silence": {r: 0.9 if r == 7 else 0.1 for r in rows if r > 2},
        "sound_rms_db": {r: -20.0 - r for r in rows if r > 2},
        "decode_errors": dict.fromkeys(rows, 0),
        "start_s": dict.fromkeys(rows, 0.0),
        "stop_s": {r: 3.0 + r / 10 for r in rows},
        "picture_start_s": {r: 0.5 if r == 8 else 0.0 for r in rows},
        "sound_start_s": dict.fromkeys(rows, 0.0),
    }
    group: Any = zarr.open_group(path, mode="r+", use_consolidated=False)
    for name, values in columns.items():
        for row, value in values.items():
            group[name][row] = value
    seal_edits(path)
    return path
