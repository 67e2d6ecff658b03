"""A part of a picture is what the whole one shows there; outside all is black."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.picture import CropResizer, VideoPicture

WIDTH, HEIGHT = 64, 48


def picture_of(name: str = "rgb24", aspect: Fraction | None = None) -> VideoPicture:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    rgb = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return VideoPicture(
        av.VideoFrame.from_ndarray(rgb.astype(np.uint8)).reformat(format=name), aspect
    )


def edges(length: int) -> st.SearchStrategy[tuple[int, int]]:
    """Draw even edges in and around a picture: half a pixel of colour is not cut."""
    edge = st.integers(-10, length // 2 + 10).map(lambda half: 2 * half)
    return st.tuples(edge, edge).filter(lambda e: e[0] < e[1])


@pytest.mark.parametrize("name", ["rgb24", "gray", "yuv420p", "yuv422p", "nv12"])
@given(x=edges(WIDTH), y=edges(HEIGHT))
def test_a_part_is_what_the_whole_shows_there(
    name: str, x: tuple[int, int], y: tuple[int, int]
) -> None:
    """Against padding the whole picture with black and cutting after."""
    picture = picture_of(name)
    whole = np.pad(picture.rgb(), ((20, 20), (20, 20), (0, 0)))
    expected = whole[y[0] + 20 : y[1] + 20, x[0] + 20 : x[1] + 20]
    found = CropResizer((x[0], y[0], x[1], y[1]), (x[1] - x[0], y[1] - y[0])).view(
        picture
    )
    if name in ("rgb24", "gray", "yuv420p"):
        assert (found == expected).all()
    else:  # these are interpolated between pixels of colour
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected)[1:-1, 1:-1].max(initial=0) < 9


def test_one_lens_serves_many_pictures_of_many_kinds() -> None:
    lens = CropResizer((10, 6, 42, 38), (16, 16))
    for name in ("yuv420p", "rgb24", "yuv420p", "gray"):
        picture = picture_of(name)
        again = CropResizer((10, 6, 42, 38), (16, 16)).view(picture)
        assert (lens.view(picture) == again).all()


@given(side=st.integers(20, 40))
def test_reducing_averages_areas(side: int) -> None:
    """Against OpenCV's area interpolation of the whole part."""
    picture = picture_of()
    cut = picture.rgb()[4 : 4 + side, 8 : 8 + side]
    expected = cv2.resize(cut, (10, 10), interpolation=cv2.INTER_AREA).astype(int)
    found = CropResizer((8, 4, 8 + side, 4 + side), (10, 10)).view(picture)
    assert np.abs(found - expected).mean() < 4


@given(aspect=st.sampled_from([Fraction(4, 3), Fraction(16, 15), Fraction(8, 9)]))
def test_a_part_of_a_picture_whose_pixels_are_not_square(aspect: Fraction) -> None:
    picture = picture_of(aspect=aspect)
    width, height = picture.size_px
    assert width == round(WIDTH * aspect)
    box = (width // 4, height // 4, width // 4 + 24, height // 4 + 24)
    expected = picture.rgb()[box[1] : box[3], box[0] : box[2]].astype(int)
    found = CropResizer(box, (24, 24)).view(picture)
    assert np.abs(found - expected).mean() < 8
