"""Tracks and crops from boxes: steady where the face is, on one person, square."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmder_prep.faces import cropping, tracking
from mmder_prep.faces.tracking import Detections

TIMES_S = 0.2 * np.arange(16)
seeds = st.integers(0, 10_000)
few = settings(max_examples=15)


def box(x: float, y: float, size: float) -> np.ndarray:
    """Give a box around a centre, a little higher than wide, as a face is."""
    return np.array([x - 0.4 * size, y - size / 2, x + 0.4 * size, y + size / 2])


def seen(*boxes_px: np.ndarray, scores: tuple[float, ...] = ()) -> Detections:
    rows = np.array(boxes_px).reshape(-1, 4)
    return Detections(
        boxes_px=rows, scores=np.array(scores or (0.99,) * len(rows), dtype=float)
    )


def centres(boxes_px: np.ndarray) -> np.ndarray:
    return np.asarray((boxes_px[:, :2] + boxes_px[:, 2:]) / 2)


@given(seed=seeds, size=st.floats(20, 800))
@few
def test_a_still_face_gets_one_crop_for_the_whole_clip(seed: int, size: float) -> None:
    """Every edge of the detector's box jumps by up to 3 % of the face."""
    jitter = np.random.default_rng(seed).uniform(-0.03, 0.03, (16, 4)) * size
    found = [seen(box(500, 400, size) + j) for j in jitter]
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    boxes_px = tracking.smooth_track(track.boxes_px, TIMES_S)
    assert (boxes_px == boxes_px[0]).all()
    np.testing.assert_allclose(centres(boxes_px)[0], [500, 400], atol=0.03 * size)
    squares = cropping.square_boxes(boxes_px, margin=0.3, region_px=(0, 0, 1920, 1080))
    assert (squares == squares[0]).all()


@given(seed=seeds, path=st.floats(1, 4), turn=st.floats(0, 6.28))
@few
def test_a_moving_face_is_followed(seed: int, path: float, turn: float) -> None:
    """Moving by 1 to 4 face sizes over the clip, it stays near the crop's middle."""
    size = 200.0
    jitter = np.random.default_rng(seed).uniform(-0.01, 0.01, (16, 4)) * size
    way = np.linspace(-0.5, 0.5, 16)[:, None] * path * size
    true = np.array([900, 900]) + way * [np.cos(turn), np.sin(turn)]
    found = [seen(box(x, y, size) + j) for (x, y), j in zip(true, jitter, strict=True)]
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    off = centres(tracking.smooth_track(track.boxes_px, TIMES_S)) - true
    # The Gaussian has one side only at the ends, there it lags by a step.
    assert np.abs(off[2:-2]).max() < 0.1 * size
    assert np.abs(off).max() < 0.1 * size * path


@given(seed=seeds)
def test_one_wild_box_does_not_move_the_crop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes_px = np.tile(box(300, 300, 100), (16, 1))
    clean = tracking.smooth_track(boxes_px, TIMES_S)
    boxes_px[rng.integers(1, 15)] = box(rng.uniform(0, 600), rng.uniform(0, 600), 150)
    assert (tracking.smooth_track(boxes_px, TIMES_S) == clean).all()


@given(missing=st.sets(st.integers(1, 14), max_size=12), speed=st.floats(0, 3))
@few
def test_boxes_are_interpolated_in_time_where_the_face_is_missing(
    missing: set[int], speed: float
) -> None:
    true = [box(300 + speed * i, 200, 100) for i in range(16)]
    found = [
        tracking.no_faces() if i in missing else seen(b) for i, b in enumerate(true)
    ]
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    np.testing.assert_allclose(track.boxes_px, true, atol=1e-6)
    assert set(np.flatnonzero(~track.found)) == missing


@given(only=st.integers(0, 15))
@few
def test_a_face_seen_once_is_taken_to_stay_there(only: int) -> None:
    found = [
        seen(box(9, 9, 8)) if i == only else tracking.no_faces() for i in range(16)
    ]
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    np.testing.assert_allclose(track.boxes_px, np.tile(box(9, 9, 8), (16, 1)))
    assert np.flatnonzero(track.found).tolist() == [only]


def test_without_any_face_there_is_no_track() -> None:
    assert tracking.link_detections([tracking.no_faces()] * 16, TIMES_S) is None


@given(
    seed=seeds,
    ratio=st.floats(1.5, 4),
    missing=st.sets(st.integers(0, 15), max_size=3),
)
@few
def test_of_two_people_the_larger_is_kept_throughout(
    seed: int, ratio: float, missing: set[int]
) -> None:
    """In any order of detection, also while the larger is not found for a while."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(16):
        here = [box(700 + rng.normal(0, 2), 300, 100 / ratio)]
        if i not in missing:
            here.append(box(300 + rng.normal(0, 2), 300, 100))
        found.append(seen(*[here[k] for k in rng.permutation(len(here))]))
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    assert np.abs(centres(track.boxes_px)[:, 0] - 300).max() < 20
    assert set(np.flatnonzero(~track.found)) == missing


@given(seed=seeds)
@few
def test_of_two_people_the_steadier_is_kept(seed: int) -> None:
    """One is always there; the other, as large, is found in a third of the frames."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(16):
        here = [box(300, 300, 100)]
        if i % 3 == 0:
            here.append(box(900, 300, 103))
        found.append(seen(*[here[k] for k in rng.permutation(len(here))]))
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    assert (centres(track.boxes_px)[:, 0] == 300).all()


@given(seed=seeds, people=st.integers(2, 12), kept=st.floats(0.6, 1))
@few
def test_in_a_crowd_the_track_stays_with_one(
    seed: int, people: int, kept: float
) -> None:
    """Faces of nearly one size, each missed now and then, scores in disorder."""
    rng = np.random.default_rng(seed)
    places = np.array(
        [[200.0 + 300 * (p % 4), 200 + 300 * (p // 4)] for p in range(people)]
    )
    sizes = rng.uniform(90, 110, people)
    found = []
    for _ in range(16):
        here = np.flatnonzero(rng.random(people) < kept)
        boxes_px = [
            box(places[p, 0] + rng.normal(), places[p, 1] + rng.normal(), sizes[p])
            for p in rng.permutation(here)
        ]
        found.append(seen(*boxes_px, scores=tuple(rng.uniform(0.8, 1, len(here)))))
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    assert np.ptp(centres(track.boxes_px), axis=0).max() < 20


def test_a_ghost_of_one_frame_is_passed_over() -> None:
    """A large false box in a single frame is not worth two jumps."""
    found = [seen(box(300, 300, 100)) for _ in range(16)]
    found[7] = seen(box(320, 800, 150), scores=(1.0,))
    track = tracking.link_detections(found, TIMES_S)
    assert track is not None
    assert (centres(track.boxes_px) == [300, 300]).all()
    assert np.flatnonzero(~track.found).tolist() == [7]


@given(
    x=st.floats(-100, 2000),
    y=st.floats(-100, 1200),
    size=st.floats(0.5, 1500),
    margin=st.floats(0, 3),
    left=st.integers(0, 900),
    top=st.integers(0, 500),
    wide=st.integers(2, 1000),
    high=st.integers(2, 1000),
)
def test_crops_are_square_and_inside_the_region_whenever_they_fit(
    x: float,
    y: float,
    size: float,
    margin: float,
    left: int,
    top: int,
    wide: int,
    high: int,
) -> None:
    region_px = (left, top, left + wide, top + high)
    made = cropping.square_boxes(
        box(x, y, size)[None], margin=margin, region_px=region_px
    )[0]
    side = made[2] - made[0]
    assert made[3] - made[1] == side >= 2
    assert side == max(2, np.rint(size * (1 + margin))) or side == pytest.approx(
        size * (1 + margin), abs=0.5 + 1e-6
    )
    for low, high_, axis in ((left, left + wide, 0), (top, top + high, 1)):
        if side <= high_ - low:
            assert low <= made[axis]
            assert made[axis + 2] <= high_
        else:
            assert made[axis] <= low
            assert made[axis + 2] >= high_
            assert abs((made[axis] + made[axis + 2]) - (low + high_)) <= 1


@given(x=st.floats(400, 600), y=st.floats(400, 600), size=st.floats(20, 300))
def test_far_from_the_edges_the_crop_is_centred_on_the_face(
    x: float, y: float, size: float
) -> None:
    made = cropping.square_boxes(
        box(x, y, size)[None], margin=0.3, region_px=(0, 0, 999, 999)
    )
    np.testing.assert_allclose(centres(made)[0], [x, y], atol=1.01)


@given(
    left=st.integers(0, 99),
    top=st.integers(0, 99),
    wide=st.integers(1, 2000),
    high=st.integers(1, 2000),
)
def test_the_centre_square_is_the_largest_and_centred(
    left: int, top: int, wide: int, high: int
) -> None:
    made = cropping.center_square((left, top, left + wide, top + high), 16)
    side = min(wide, high)
    assert made.shape == (16, 4)
    assert (made == made[0]).all()
    x, y, right, bottom = made[0]
    assert (right - x, bottom - y) == (side, side)
    for before, after in (
        (x - left, left + wide - right),
        (y - top, top + high - bottom),
    ):
        assert 0 <= after - before <= 1
