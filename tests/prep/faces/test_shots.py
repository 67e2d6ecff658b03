"""Cuts by content and by jumps of the face, and what is noted of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmder_prep.faces.shots import cut_note, shots_by_content, split_at_jumps

TIMES_S = 0.2 * np.arange(16)
ONE_SHOT = np.zeros(16, dtype=np.int64)
ALL = np.ones(16, dtype=bool)
seeds = st.integers(0, 10_000)
few = settings(max_examples=20)


def scene(seed: int) -> np.ndarray:
    """Return a smooth random image."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 6, 3))
    return np.kron(small, np.ones((4, 4, 1))).astype(np.uint8)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 6, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@given(seed=seeds, cut=st.integers(1, 15))
@few
def test_another_scene_begins_a_shot(seed: int, cut: int) -> None:
    one, two = scene(seed), scene(seed + 20_000)
    thumbs = [noisy(one if i < cut else two, i) for i in range(16)]
    correlation = np.corrcoef(one.mean(2).ravel(), two.mean(2).ravel())[0, 1]
    expected = np.arange(16) >= cut if correlation < 0.4 else ONE_SHOT
    if abs(correlation - 0.5) > 0.1:
        assert (shots_by_content(thumbs) == expected).all()


@given(seed=seeds, gain=st.floats(0.5, 1.0))
@few
def test_noise_motion_and_brightness_begin_no_shot(seed: int, gain: float) -> None:
    """A bright square, a quarter of the frame wide, moves over the scene."""
    thumbs = []
    for index in range(16):
        image = scene(seed) * np.linspace(1, gain, 16)[index]
        image[5:9, index : index + 4] = 240
        thumbs.append(noisy(image, index))
    assert not shots_by_content(thumbs).any()


def test_black_frames_are_a_shot_of_their_own() -> None:
    black = np.zeros((16, 24, 3), dtype=np.uint8)
    assert not shots_by_content([black] * 16).any()
    mixed = [black] * 4 + [scene(1)] * 12
    assert (shots_by_content(mixed) == (np.arange(16) >= 4)).all()


def face(x: float, size: float = 100) -> np.ndarray:
    return np.array([x - size / 2, 300 - size / 2, x + size / 2, 300 + size / 2])


@pytest.mark.parametrize(
    ("x", "size"), [(350, 100), (200, 210), (200, 45)], ids=["moved", "in", "out"]
)
@pytest.mark.parametrize("cut", [2, 8, 14])
def test_face_that_jumps_and_stays_begins_a_shot(
    cut: int, x: float, size: float
) -> None:
    """It moves by 1.5 sizes, or the camera zooms to more than twice or half of it."""
    boxes_px = np.array([face(200) if i < cut else face(x, size) for i in range(16)])
    assert (split_at_jumps(boxes_px, ALL, ONE_SHOT) == (np.arange(16) >= cut)).all()


@given(at=st.integers(0, 15), x=st.floats(0, 1000))
def test_one_outlier_begins_no_shot(at: int, x: float) -> None:
    boxes_px = np.array([face(500)] * 16)
    boxes_px[at] = face(x)
    assert not split_at_jumps(boxes_px, ALL, ONE_SHOT).any()


@given(speed=st.floats(-90, 90))
def test_fast_face_begins_no_shot(speed: float) -> None:
    boxes_px = np.array([face(1000 + speed * i) for i in range(16)])
    assert not split_at_jumps(boxes_px, ALL, ONE_SHOT).any()


def test_cuts_and_missing_faces_are_noted() -> None:
    assert cut_note(ONE_SHOT, ALL, TIMES_S) == ""
    shots = np.repeat([0, 1, 2], [4, 4, 8])
    assert cut_note(shots, ALL, TIMES_S) == "the video cuts at 0.80, 1.60 s"
    note = cut_note(shots, shots != 1, TIMES_S)
    assert note == ("the video cuts at 0.80, 1.60 s; no face in 4 frames of 1 shots")
