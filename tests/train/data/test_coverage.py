"""Clips that are longer than their 16 frames cover are counted."""

from pathlib import Path

import numpy as np
import pytest

from fake_store import make_store
from mmder_train.data.coverage import (
    coverage_warning,
    covered_stop_s,
    is_truncated,
)


def test_sixteen_frames_cover_sixteen_steps_or_the_clip() -> None:
    assert covered_stop_s(1.0, 12.4, 0.2) == pytest.approx(4.2)
    assert covered_stop_s(0.0, 2.5, 0.2) == 2.5
    assert covered_stop_s(0.0, np.nan, 0.2) == pytest.approx(3.2)
    assert not is_truncated(0.0, 3.23, 0.2)
    assert is_truncated(0.0, 3.3, 0.2)
    assert is_truncated(0.0, 3.5, 0.2)
    assert is_truncated(0.0, np.nan, 0.2)


def test_the_warning_counts_clips_and_unused_seconds(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", clips=4, modality="audio")
    columns = {
        "start_s": np.zeros(4),
        "stop_s": np.array([3.2, 3.7, 4.2, 13.2]),
        "step_s": np.full(4, 0.2),
    }
    store.columns.update(columns)
    text = coverage_warning(store, np.arange(4))
    assert text is not None
    assert "3 of 4 clips are longer than the 3.2 s" in text
    assert "1.00 s in the median and 10.00 s at most" in text
    assert coverage_warning(store, np.array([0])) is None
