"""Rotation, pixel aspect, and crops that equal the same part of the whole frame."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from hypothesis import given
from hypothesis import strategies as st

from media_clips import decode
from mmder_prep.media.clip import Segment
from mmder_prep.media.decoded_frame import CropResizer, DecodedFrame
from synth import Synth, draw, number_in, write

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


ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[..., np.ndarray]]] = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "turned right": ((0, 1, -1, 0), lambda p: np.rot90(p, 1)),
    "turned over": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "turned left": ((0, -1, 1, 0), lambda p: np.rot90(p, 3)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "transposed over": (
        (0, -1, -1, 0),
        lambda p: np.rot90(p, 2).swapaxes(0, 1),
    ),
}
"""The numbers a, b, c, d of a display matrix, and the image that it puts upright.

ISO/IEC 14496-12, 6.2.2: pixel (x, y) is displayed at (a x + c y, b x + d y). A matrix
(0, 1, -1, 0) displays (1, 0), on the right, at (0, 1), at the bottom: clockwise. The
coded image is therefore turned anticlockwise.
"""


def write_oriented(folder: Path, name: str) -> Path:
    """Write a clip whose frames are stored in one of the eight orientations."""
    (a, b, c, d), store = ORIENTATIONS[name]
    coded = store(draw(5, (192, 128)))
    spec = Synth(audio=None, duration_s=0.4, size_px=coded.shape[1::-1])
    path = write(folder / "x", spec, paint=lambda _: np.ascontiguousarray(coded))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 4 + 20 + 16
    numbers = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    content[at : at + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", list(ORIENTATIONS))
def test_all_eight_orientations_are_displayed_upright(
    tmp_path: Path, name: str
) -> None:
    frame = decode(write_oriented(tmp_path, name)).frames[0]
    assert frame.size_px == (192, 128)
    assert number_in(frame.rgb()) == 5
    # A part of the frame is the part of the whole.
    whole = frame.rgb()[20:100, 40:160].astype(int)
    part = CropResizer((40, 20, 160, 100), (120, 80)).view(frame)
    assert np.abs(part - whole).max() <= 2


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is missing")
@pytest.mark.parametrize("name", list(ORIENTATIONS))
def test_orientation_is_that_of_ffmpeg(tmp_path: Path, name: str) -> None:
    """FFmpeg's own program applies the display matrix when it decodes a file."""
    path = write_oriented(tmp_path, name)
    words = ["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", "1"]
    raw = subprocess.run(
        [*words, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    frame = decode(path).frames[0]
    width, height = frame.size_px
    expected = np.frombuffer(raw, dtype=np.uint8).reshape(height, width, 3)
    assert number_in(expected) == 5
    difference = np.abs(frame.rgb().astype(int) - expected)
    assert difference.mean() < 2


def write_sizes(path: Path, *sizes_px: tuple[int, int]) -> Path:
    """Write VP8 whose frames change their size every 40 frames, 25 per second."""
    tick = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height = sizes_px[0]
        stream.pix_fmt, stream.time_base = "yuv420p", tick
        for part, (width, height) in enumerate(sizes_px):
            encoder = av.CodecContext.create("libvpx", "w")
            assert isinstance(encoder, VideoCodecContext)
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.framerate = tick, Fraction(25)
            encoder.options = {"deadline": "realtime", "cpu-used": "8"}
            encoder.bit_rate = 2_000_000
            packets = []
            for index in range(40):
                number = 40 * part + index
                image = draw(number, (width, height))
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number * 40, tick
                packets += encoder.encode(frame.reformat(format="yuv420p"))
            for packet in packets + encoder.encode(None):
                copy = av.Packet(bytes(packet))
                copy.pts = copy.dts = packet.pts
                copy.time_base, copy.stream = tick, stream
                copy.is_keyframe = packet.is_keyframe
                container.mux(copy)
    return path


@pytest.mark.parametrize(
    ("first_px", "then_px"), [((192, 128), (96, 64)), ((96, 64), (192, 128))]
)
def test_frames_of_another_size_are_scaled_to_the_first(
    tmp_path: Path, first_px: tuple[int, int], then_px: tuple[int, int]
) -> None:
    path = write_sizes(tmp_path / "x.webm", first_px, then_px)
    decoded = decode(path, Segment())
    assert [f.size_px for f in decoded.frames] == [first_px] * 16
    assert [number_in(f.rgb()) for f in decoded.frames] == list(range(0, 80, 5))
    # A part shows what the same part of a frame of the first size shows.
    box_px = (first_px[0] // 4, first_px[1] // 4, first_px[0] // 2, first_px[1] // 2)
    part = CropResizer(box_px, (24, 16)).view(decoded.frames[12]).astype(int)
    expected = DecodedFrame(
        av.VideoFrame.from_ndarray(draw(60, first_px), format="rgb24")
    )
    assert np.abs(part - CropResizer(box_px, (24, 16)).view(expected)).mean() < 12
    (note,) = decoded.notes
    first, then = ("{} x {}".format(*size_px) for size_px in (first_px, then_px))
    assert note == (
        f"frame size changes from {first} to {then} px; later frames are scaled to the "
        "first"
    )


GREEN = (40, 160, 60)
MATRICES = {576: (0.299, 0.114), 720: (0.2126, 0.0722), 1080: (0.2126, 0.0722)}
"""Weights of red and blue in luma, by the number of lines: BT.601, then BT.709."""


@pytest.mark.parametrize("lines", list(MATRICES))
def test_color_matrix_that_is_not_stated_follows_the_number_of_lines(
    lines: int,
) -> None:
    """The oracle converts by hand, in limited range."""
    red, green, blue = (value / 255 for value in GREEN)
    kr, kb = MATRICES[lines]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)]
    planes = [16 + 219 * luma, *(128 + 224 * c for c in chroma)]
    yuv = av.VideoFrame(64, lines, "yuv444p")
    for plane, value in zip(yuv.planes, planes, strict=True):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    shown = DecodedFrame(yuv).rgb()[lines // 2, 32].astype(int)
    assert np.abs(shown - GREEN).max() <= 3


def test_interlaced_video_is_noted(tmp_path: Path) -> None:
    options = (("flags", "+ilme+ildct"), ("bf", "0"))
    spec = Synth(audio=None, suffix="mpg", video="mpeg2video", codec_options=options)
    assert decode(write(tmp_path / "x", spec)).notes == (
        "interlaced video; both fields are kept in each frame",
    )
