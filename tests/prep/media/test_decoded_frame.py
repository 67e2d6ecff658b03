"""Rotation, pixel aspect, and crops that equal the same part of the whole frame."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream
from hypothesis import given
from hypothesis import strategies as st

from media_clips import decode
from mmder_prep.media.decoded_frame import CropResizer, DecodedFrame
from synth import Synth, number_in, write

WIDTH, HEIGHT = 64, 48
writes_rotation = pytest.mark.skipif(
    not hasattr(VideoStream, "set_display_rotation"),
    reason="this PyAV cannot write a rotation",
)


def make_frame(name: str = "rgb24", aspect: Fraction | None = None) -> DecodedFrame:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    rgb = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return DecodedFrame(
        av.VideoFrame.from_ndarray(rgb.astype(np.uint8)).reformat(format=name), aspect
    )


def edges(length: int) -> st.SearchStrategy[tuple[int, int]]:
    """Draw even edges inside and around a frame: chroma pixels are not split."""
    edge = st.integers(-10, length // 2 + 10).map(lambda half: 2 * half)
    return st.tuples(edge, edge).filter(lambda e: e[0] < e[1])


@pytest.mark.parametrize("name", ["rgb24", "gray", "yuv420p", "yuv422p", "nv12"])
@given(x=edges(WIDTH), y=edges(HEIGHT))
def test_crop_equals_the_same_part_of_the_whole_frame(
    name: str, x: tuple[int, int], y: tuple[int, int]
) -> None:
    """The oracle pads the whole frame with black and cuts it afterwards."""
    frame = make_frame(name)
    whole = np.pad(frame.rgb(), ((20, 20), (20, 20), (0, 0)))
    expected = whole[y[0] + 20 : y[1] + 20, x[0] + 20 : x[1] + 20]
    resizer = CropResizer((x[0], y[0], x[1], y[1]), (x[1] - x[0], y[1] - y[0]))
    crop = resizer.view(frame)
    if name in ("rgb24", "gray", "yuv420p"):
        assert (crop == expected).all()
    else:  # these formats are interpolated between chroma pixels
        assert crop.shape == expected.shape
        assert np.abs(crop.astype(int) - expected)[1:-1, 1:-1].max(initial=0) < 9


def test_resizer_can_be_reused_for_frames_of_other_formats() -> None:
    resizer = CropResizer((10, 6, 42, 38), (16, 16))
    for name in ("yuv420p", "rgb24", "yuv420p", "gray"):
        frame = make_frame(name)
        expected = CropResizer((10, 6, 42, 38), (16, 16)).view(frame)
        assert (resizer.view(frame) == expected).all()


@given(side=st.integers(20, 40))
def test_reducing_averages_areas(side: int) -> None:
    """The oracle is OpenCV's area interpolation of the same part."""
    frame = make_frame()
    part = frame.rgb()[4 : 4 + side, 8 : 8 + side]
    expected = cv2.resize(part, (10, 10), interpolation=cv2.INTER_AREA).astype(int)
    crop = CropResizer((8, 4, 8 + side, 4 + side), (10, 10)).view(frame)
    assert np.abs(crop - expected).mean() < 4


@given(aspect=st.sampled_from([Fraction(4, 3), Fraction(16, 15), Fraction(8, 9)]))
def test_crop_of_a_frame_without_square_pixels(aspect: Fraction) -> None:
    frame = make_frame(aspect=aspect)
    width, height = frame.size_px
    assert width == round(WIDTH * aspect)
    box = (width // 4, height // 4, width // 4 + 24, height // 4 + 24)
    expected = frame.rgb()[box[1] : box[3], box[0] : box[2]].astype(int)
    crop = CropResizer(box, (24, 24)).view(frame)
    assert np.abs(crop - expected).mean() < 8


def test_pixels_that_are_not_square_are_made_square(tmp_path: Path) -> None:
    decoded = decode(write(tmp_path / "x", Synth(audio=None, duration_s=1.0)))
    wide = DecodedFrame(decoded.frames[0].coded, Fraction(4, 3))
    assert wide.size_px == (256, 128)
    assert wide.rgb().shape == (128, 256, 3)


@writes_rotation
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_of_a_file_is_applied(tmp_path: Path, degrees: int) -> None:
    spec = Synth(audio=None, duration_s=1.0, size_px=(192, 128), rotation=degrees)
    decoded = decode(write(tmp_path / "x", spec))
    size_px = (192, 128) if degrees == 180 else (128, 192)
    assert number_in(decoded.frames[0].coded.to_ndarray(format="rgb24")) == 0
    assert decoded.frames[0].size_px == size_px
    shown = decoded.frames[3].rgb()
    assert shown.shape == (*size_px[::-1], 3)
    # FFmpeg's rotation is anticlockwise: turned back, the number can be read again.
    assert number_in(np.rot90(shown, -degrees // 90)) == 15
    assert number_in(shown) is None
    small = decoded.frames[3].rgb(96)
    assert max(small.shape[:2]) == 96
    assert number_in(np.rot90(small, -degrees // 90)) == 15


@writes_rotation
@pytest.mark.parametrize(("degrees", "size_px"), [(357, (192, 128)), (93, (128, 192))])
def test_odd_angle_is_rounded_to_the_nearest_quarter_turn(
    tmp_path: Path, degrees: int, size_px: tuple[int, int]
) -> None:
    spec = Synth(audio=None, duration_s=1.0, size_px=(192, 128), rotation=degrees)
    frame = decode(write(tmp_path / "x", spec)).frames[3]
    assert frame.size_px == size_px
    assert number_in(np.rot90(frame.rgb(), -round(degrees / 90))) == 15
