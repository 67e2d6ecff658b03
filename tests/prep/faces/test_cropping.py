"""Square crops from boxes: centered on the face, and inside the region if they fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.faces import cropping


def box(x: float, y: float, size: float) -> np.ndarray:
    """Return a box around a center, slightly higher than wide, like a face."""
    return np.array([x - 0.4 * size, y - size / 2, x + 0.4 * size, y + size / 2])


@given(
    x=st.floats(-100, 2000),
    y=st.floats(-100, 1200),
    size=st.floats(0.5, 1500),
    margin=st.floats(0, 3),
    left=st.integers(0, 900),
    top=st.integers(0, 500),
    width=st.integers(2, 1000),
    height=st.integers(2, 1000),
)
def test_crops_are_square_and_inside_the_region_if_they_fit(
    x: float,
    y: float,
    size: float,
    margin: float,
    left: int,
    top: int,
    width: int,
    height: int,
) -> None:
    region_px = (left, top, left + width, top + height)
    square = cropping.square_boxes(
        box(x, y, size)[None], margin=margin, region_px=region_px
    )[0]
    side = square[2] - square[0]
    assert square[3] - square[1] == side >= 2
    assert side == max(2, np.rint(size * (1 + margin))) or side == pytest.approx(
        size * (1 + margin), abs=0.5 + 1e-6
    )
    for low, high, axis in ((left, left + width, 0), (top, top + height, 1)):
        if side <= high - low:
            assert low <= square[axis]
            assert square[axis + 2] <= high
        else:
            assert square[axis] <= low
            assert square[axis + 2] >= high
            assert abs((square[axis] + square[axis + 2]) - (low + high)) <= 1


@given(x=st.floats(400, 600), y=st.floats(400, 600), size=st.floats(20, 300))
def test_crop_far_from_the_edges_is_centered_on_the_face(
    x: float, y: float, size: float
) -> None:
    (square,) = cropping.square_boxes(
        box(x, y, size)[None], margin=0.3, region_px=(0, 0, 999, 999)
    )
    np.testing.assert_allclose((square[:2] + square[2:]) / 2, [x, y], atol=1.01)


@given(
    left=st.integers(0, 99),
    top=st.integers(0, 99),
    width=st.integers(1, 2000),
    height=st.integers(1, 2000),
)
def test_center_square_is_the_largest_and_centered(
    left: int, top: int, width: int, height: int
) -> None:
    squares = cropping.center_square((left, top, left + width, top + height), 16)
    side = min(width, height)
    assert squares.shape == (16, 4)
    assert (squares == squares[0]).all()
    x, y, right, bottom = squares[0]
    assert (right - x, bottom - y) == (side, side)
    for before, after in (
        (x - left, left + width - right),
        (y - top, top + height - bottom),
    ):
        assert 0 <= after - before <= 1
