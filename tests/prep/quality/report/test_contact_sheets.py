"""Contact sheets show faces and audio on one time axis."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.quality.report import contact_sheets


@given(step=st.integers(1, 30).map(lambda n: 2 * n))
def test_the_strip_is_continuous_in_time(step: int) -> None:
    """Windows that hold the time of their columns join without a seam."""
    columns = np.arange(2 * step + 1)
    windows = (columns + step * np.arange(16)[:, None])[:, None, :].astype(np.float16)
    strip = contact_sheets.continuous(windows)
    assert (strip[0] == np.arange(16 * step)).all()


def test_a_face_is_above_its_audio() -> None:
    """A click at one instant, and the frame shown at it, are in the same column."""
    frames = np.zeros((16, 224, 224, 3), dtype=np.uint8)
    frames[6] = (255, 0, 0)
    stft = np.full((16, 257, 41), -80, dtype=np.float16)
    for window in range(16):  # windows that include the instant of frame 6
        column = 20 + 20 * (6 - window)
        if 0 <= column < 41:
            stft[window, :, column] = 20
    jpeg = contact_sheets.contact_sheet(frames, stft, None)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    rgb = decoded[..., ::-1]
    faces, audio = rgb[: contact_sheets.FACE_PX], rgb[-contact_sheets.STFT_PX :]
    red = faces[48, :, 0].astype(int) - faces[48, :, 1]
    center = np.flatnonzero(red > 128).mean()
    level = audio[:, :, 1].mean(axis=0)
    assert center == pytest.approx(3.5 * contact_sheets.FACE_PX, abs=2)
    assert level.argmax() == pytest.approx(center, abs=4)
    with pytest.raises(ValueError, match="neither"):
        contact_sheets.contact_sheet(None, None, None)
