"""Rows of prepared clips: statuses, shapes, the crop column and face crops."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import (
    ClipRow,
    empty_row,
    parse_crop,
    prepare_clip,
)
from mmder_store.errors import MediaError
from mmder_store.schema import COLUMNS, STATUSES, arrays_of, shape_of
from mmder_store.settings import PrepSettings
from synth import Synth, number_in, write

DEFAULT = PrepSettings()
WITHOUT_FACE = PrepSettings(face_crop=False)
PORTRAIT = skimage.data.astronaut()[0:360, 60:420]
FACE_PX = np.array([160.0, 117.0])
"""Center of the face in the portrait, from the left and from the top."""
SPEC = Synth(fps=Fraction(15), duration_s=2.0, size_px=(320, 240), rate_hz=16_000)


def scene(
    size_px: tuple[int, int], *, portrait_px: int, left: float, top: float
) -> np.ndarray:
    """Return a gray image with the portrait pasted into it."""
    width, height = size_px
    image = np.full((height, width, 3), 110, dtype=np.uint8)
    small = cv2.resize(PORTRAIT, (portrait_px,) * 2, interpolation=cv2.INTER_AREA)
    x, y = round(left), round(top)
    image[y : y + portrait_px, x : x + portrait_px] = small
    return image


def run(path: Path, settings: PrepSettings = DEFAULT, **fields: Any) -> ClipRow:
    clip = Clip(clip_id="x", source=Source(path), **fields)
    return prepare_clip(clip, settings, device="cpu")


def check_arrays(row: ClipRow, settings: PrepSettings) -> None:
    """Check names, shapes and types against the schema of the store."""
    specs = arrays_of(settings)
    assert sorted(row.arrays) == sorted(a.name for a in specs)
    for spec in specs:
        assert row.arrays[spec.name].shape == shape_of(spec, settings), spec.name
        assert row.arrays[spec.name].dtype == spec.dtype, spec.name
    assert row.status in STATUSES
    assert set(row.facts) <= {c.name for c in COLUMNS}


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clip")

    def still(portrait_px: int, left: float, top: float = 10) -> Any:
        size_px = SPEC.size_px
        image = scene(size_px, portrait_px=portrait_px, left=left, top=top)
        return lambda _: image

    def moving(number: int) -> np.ndarray:
        return scene(SPEC.size_px, portrait_px=200, left=4 * number, top=20)

    def variant(**changes: Any) -> Synth:
        return Synth(**{**vars(SPEC), **changes})

    def two(_: int) -> np.ndarray:
        image = scene(SPEC.size_px, portrait_px=150, left=0, top=40)
        image[:, 160:] = scene(SPEC.size_px, portrait_px=150, left=165, top=60)[:, 160:]
        return image

    small = scene((1280, 720), portrait_px=120, left=900, top=300)
    return {
        "face": write(folder / "face", SPEC, paint=still(220, 60)),
        "moving": write(folder / "moving", SPEC, paint=moving),
        "two": write(folder / "two", SPEC, paint=two),
        "no face": write(folder / "no_face", SPEC),
        "silent": write(folder / "silent", variant(audio=None), paint=still(220, 60)),
        "voice": write(
            folder / "voice", variant(video=None, suffix="wav", audio="pcm_s16le")
        ),
        "small": write(
            folder / "small",
            variant(size_px=(1280, 720), fps=Fraction(5)),
            paint=lambda _: small,
        ),
    }


@pytest.fixture(scope="session")
def face_row(media: dict[str, Path]) -> ClipRow:
    return run(media["face"])


def test_a_face_is_ok_and_in_the_center_of_its_crop(face_row: ClipRow) -> None:
    check_arrays(face_row, DEFAULT)
    assert (face_row.status, face_row.reason) == ("ok", "")
    assert face_row.facts["faces_found"] == face_row.facts["faces_searched"] == 16
    assert np.isfinite(face_row.arrays["face_score"]).all()
    boxes_px = face_row.arrays["face_box_px"]
    assert (boxes_px == boxes_px[0]).all()  # the face does not move
    center = (boxes_px[0, :2] + boxes_px[0, 2:]) / 2
    expected = FACE_PX * 220 / 360 + [60, 10]
    assert np.abs(center - expected).max() < 15
    assert (face_row.arrays["frames"] == face_row.arrays["frames"][0]).all() or (
        np.abs(np.diff(face_row.arrays["frames"].astype(int), axis=0)).mean() < 3
    )


def test_the_crop_is_the_box_cut_out_of_the_frame(
    face_row: ClipRow, media: dict[str, Path]
) -> None:
    """Compared with the image that was drawn."""
    left, top, right, bottom = face_row.arrays["face_box_px"][0].astype(int)
    drawn = scene(SPEC.size_px, portrait_px=220, left=60, top=10)
    assert 0 <= left < right <= 320
    expected = cv2.resize(drawn[top:bottom, left:right], (224, 224))
    difference = np.abs(face_row.arrays["frames"][0].astype(int) - expected)
    assert difference.mean() < 6


def test_a_moving_face_stays_in_the_center_of_its_crop(media: dict[str, Path]) -> None:
    row = run(media["moving"], PrepSettings(step_frames=None))
    assert row.status == "ok"
    boxes_px = row.arrays["face_box_px"]
    centers = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
    numbers = np.rint(row.arrays["frame_time_s"] * 15)
    expected = FACE_PX[0] * 200 / 360 + 4 * numbers
    assert np.abs(centers[:, 0] - expected).max() < 18
    assert np.ptp(centers[:, 0]) > 80


def test_two_runs_are_equal_bit_for_bit(
    face_row: ClipRow, media: dict[str, Path]
) -> None:
    second = run(media["face"])
    assert second.facts == face_row.facts
    for name, array in face_row.arrays.items():
        assert array.tobytes() == second.arrays[name].tobytes(), name


def test_without_a_face_the_center_is_cropped(media: dict[str, Path]) -> None:
    row = run(media["no face"])
    check_arrays(row, DEFAULT)
    assert row.status == "no_face"
    assert row.reason == "no face in any frame; the center is cropped"
    assert (row.arrays["face_box_px"] == [40, 0, 280, 240]).all()
    assert np.isnan(row.arrays["face_score"]).all()
    # 15 frames per second, steps of 0.2 s, and a clip of 30 frames.
    expected = [min(3 * i, 29) for i in range(16)]
    assert [number_in(f) for f in row.arrays["frames"]] == expected
    assert (row.facts["clamped"], row.facts["faces_found"]) == (6, 0)


def test_without_face_crop_no_face_is_searched(media: dict[str, Path]) -> None:
    row = run(media["no face"], WITHOUT_FACE)
    assert (row.status, row.reason) == ("ok", "")
    assert row.facts["faces_searched"] == 0


def test_without_audio_the_frames_are_kept(media: dict[str, Path]) -> None:
    row = run(media["silent"])
    check_arrays(row, DEFAULT)
    assert (row.status, row.reason) == ("no_audio", "no audio in the file")
    assert row.arrays["frames"].any()
    for name in ("stft_16", "stft_8", "mfcc_16", "mfcc_8"):
        assert not row.arrays[name].any()
    assert np.isfinite(row.arrays["window_16_s"]).all()


def test_a_segment_and_a_file_without_audio_have_different_reasons(
    tmp_path: Path,
) -> None:
    spec = Synth(duration_s=4.0, sound_s=1.0, suffix="mkv", audio="flac")
    row = run(write(tmp_path / "x", spec), WITHOUT_FACE, segment=Segment(start_s=2.0))
    assert (row.status, row.reason) == ("no_audio", "no audio in this part")


@pytest.mark.parametrize("modality", ["av", "audio"])
def test_an_audio_file_is_no_video_unless_only_audio_is_requested(
    media: dict[str, Path], modality: Any
) -> None:
    settings = PrepSettings(modality=modality)
    row = run(media["voice"], settings)
    check_arrays(row, settings)
    expected = ("no_video", "no video in the file") if modality == "av" else ("ok", "")
    assert (row.status, row.reason) == expected
    assert (row.arrays["stft_16"] > -50).any()


@pytest.mark.parametrize("step", [None, 3.0, 6.0, 12.0])
@pytest.mark.parametrize("modality", ["av", "audio"])
def test_a_row_has_the_shapes_of_the_schema_at_every_step(
    media: dict[str, Path], modality: Any, step: float | None
) -> None:
    settings = PrepSettings(modality=modality, step_frames=step, face_crop=False)
    row = run(media["no face"], settings)
    check_arrays(row, settings)
    assert row.status == "ok"
    step_s = row.facts["step_s"]
    assert step is None or step_s == step / 30
    np.testing.assert_allclose(np.diff(row.arrays["window_16_s"]), 2 * step_s)
    np.testing.assert_allclose(np.diff(row.arrays["window_8_s"]), 4 * step_s)


def test_a_file_that_is_not_media_is_an_empty_row_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_text("no media")
    row = run(path)
    check_arrays(row, DEFAULT)
    assert row.status == "failed"
    assert "not readable as media" in row.reason
    assert row.facts == {}
    for name, array in row.arrays.items():
        assert np.isnan(array).all() if array.dtype == "float64" else not array.any(), (
            name
        )


@pytest.mark.parametrize("modality", ["av", "audio"])
def test_empty_rows_have_the_shapes_of_the_schema(modality: Any) -> None:
    settings = PrepSettings(modality=modality, step_frames=3.0)
    row = ClipRow(arrays=empty_row(settings), status="failed", reason="", facts={})
    check_arrays(row, settings)


@pytest.mark.parametrize(
    ("crop", "low", "high"), [("left", 0, 160), ("right", 160, 320)]
)
def test_the_crop_column_selects_one_of_two_faces(
    media: dict[str, Path], crop: str, low: int, high: int
) -> None:
    row = run(media["two"], crop=crop)
    assert row.status == "ok"
    box_px = row.arrays["face_box_px"]
    assert low <= box_px[:, 0].min()
    assert box_px[:, 2].max() <= high
    center = (box_px[0, :2] + box_px[0, 2:]) / 2
    start = np.array([0, 40] if crop == "left" else [165, 60])
    assert np.abs(center - (FACE_PX * 150 / 360 + start)).max() < 12


def test_numbers_in_the_crop_column_also_bound_the_center_crop(
    media: dict[str, Path],
) -> None:
    row = run(media["no face"], WITHOUT_FACE, crop="10 20 110.0 220")
    assert (row.arrays["face_box_px"] == [10, 70, 110, 170]).all()


@pytest.mark.parametrize("crop", ["0 0 321 240", "-1 0 10 10", "50 0 50 10", "0 9 9 8"])
def test_a_crop_outside_the_frame_fails_only_that_clip(
    media: dict[str, Path], crop: str
) -> None:
    row = run(media["face"], crop=crop)
    check_arrays(row, DEFAULT)
    assert row.status == "failed"
    assert row.reason == f"crop {crop!r} is outside the frame of 320 x 240 px"


@given(width=st.integers(2, 4000), height=st.integers(1, 4000))
def test_left_and_right_are_the_halves_of_the_frame(width: int, height: int) -> None:
    left = parse_crop("left", (width, height))
    right = parse_crop("right", (width, height))
    assert left == (0, 0, width // 2, height)
    assert right[0] == width - width // 2
    assert right[2:] == (width, height)
    assert parse_crop("", (width, height)) == (0, 0, width, height)


def test_a_crop_outside_the_frame_is_an_error() -> None:
    with pytest.raises(MediaError, match=r"crop '0 0 9 9' is outside .* 8 x 8 px"):
        parse_crop("0 0 9 9", (8, 8))


def test_a_small_face_is_found_in_an_enlarged_frame(media: dict[str, Path]) -> None:
    """It is about 45 of 1280 px wide: 14 px in the second copy, 33 px in the third."""
    row = run(media["small"])
    assert row.status == "ok"
    assert row.facts["faces_found"] >= 9
    box_px = row.arrays["face_box_px"][0]
    center = (box_px[:2] + box_px[2:]) / 2
    assert np.abs(center - (FACE_PX * 120 / 360 + [900, 300])).max() < 10
    assert box_px[2] - box_px[0] < 100


@pytest.mark.parametrize("kind", ["jump", "zoom", "empty"])
def test_crops_follow_the_face_across_a_cut(tmp_path: Path, kind: str) -> None:
    """Half of the clip shows the face at another place, larger, or not at all."""
    first = {"portrait_px": 150, "left": 10, "top": 40}
    second = {
        "jump": {"portrait_px": 150, "left": 165, "top": 60},
        "zoom": {"portrait_px": 235, "left": 60, "top": 2},
        "empty": None,
    }[kind]
    images = [scene((320, 240), **first), np.full((240, 320, 3), 110, dtype=np.uint8)]
    images[1][:, ::20] = 60  # another background
    if second is not None:
        images[1] = scene((320, 240), **second)

    def paint(number: int) -> np.ndarray:
        return images[number >= 24]

    spec = Synth(fps=Fraction(15), duration_s=3.4, size_px=(320, 240))
    row = run(write(tmp_path / "x", spec, paint=paint))
    assert row.status == "ok"
    assert row.reason.startswith("the video cuts at 1.60 s")
    box_px = row.arrays["face_box_px"]
    for place, boxes in ((first, box_px[:8]), (second, box_px[8:])):
        if place is None:
            assert "no face in 8 frames of 1 shots" in row.reason
            continue
        center = (boxes[:, :2] + boxes[:, 2:]) / 2
        scale = place["portrait_px"] / 360
        expected = FACE_PX * scale + [place["left"], place["top"]]
        assert np.abs(center - expected).max() < 30 * scale
        assert np.ptp(boxes[:, 2] - boxes[:, 0]) <= 4


REAL = os.environ.get("MMDER_REAL_CLIPS", "")
real = pytest.mark.skipif(not REAL, reason="MMDER_REAL_CLIPS is not set to a folder")


def real_clips(*folders: str) -> list[Any]:
    root = Path(REAL) if REAL else None
    paths = [p for f in folders for p in sorted(root.glob(f"{f}/*.*"))] if root else []
    return [pytest.param(p, id=p.name) for p in paths] or [
        pytest.param(Path(), id="unset")
    ]


@real
@pytest.mark.parametrize(
    "path", real_clips("grid", "mead", "ravdess", "cremad/VideoFlash")
)
def test_real_clips_have_a_face_in_every_searched_frame(path: Path) -> None:
    row = run(path)
    check_arrays(row, DEFAULT)
    assert row.status == "ok"
    assert row.facts["faces_found"] == row.facts["faces_searched"] == 16
    assert (np.diff(row.arrays["frame_time_s"]) >= 0).all()
    sides = np.diff(row.arrays["face_box_px"][:, ::2])
    assert sides.max() < 1.3 * sides.min()


@real
@pytest.mark.parametrize("path", real_clips("odd"))
def test_unusual_clips_have_a_status(path: Path) -> None:
    for settings in (DEFAULT, PrepSettings(step_frames=None, modality="audio")):
        row = run(path, settings)
        check_arrays(row, settings)
        assert (row.status == "ok") <= bool(np.any(row.arrays["stft_16"]))
        assert row.status == "ok" or row.reason


EXPECTED = {
    "git_lfs_pointer.flv": "failed",
    "no_face.mp4": "no_face",
    "wav_named_mov.mov": "no_video",
    "vp8_vfr_no_audio.webm": "no_audio",
    "half_second_15_frames_no_audio.mp4": "no_audio",
    "rotated_90.mov": "no_audio",
    "talking_3s_320x240.mp4": "ok",
    "video_starts_late.mp4": "ok",
}


@real
@pytest.mark.parametrize("name", list(EXPECTED))
def test_unusual_clips_have_the_expected_status(name: str) -> None:
    row = run(Path(REAL) / "odd" / name)
    assert row.status == EXPECTED[name], row.reason
