"""Search for one person: the frames and resolutions that are tried, without torch."""

import subprocess
import sys
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from mmder_prep.faces import Detections, find_track, no_faces
from mmder_prep.media.decoded_frame import DecodedFrame

SIZE_PX = (800, 600)
REGION_PX = (0, 0, *SIZE_PX)
TIMES_S = 0.2 * np.arange(16)


class FakeDetector(ModuleType):
    """Finds one face in views at least `min_view_px` wide, and records its calls."""

    SEARCH_PX = ((200, 24), (400, 24), (960, 24))
    THIRD = 0.7

    def __init__(self, min_view_px: int, *, refined_score: float = 0.99) -> None:
        super().__init__("mmder_prep.faces.mtcnn")
        self.min_view_px, self.refined_score = min_view_px, refined_score
        self.detected: list[tuple[int, int]] = []

    def detect(self, images: Any, *, min_face_px: int, device: str) -> list[Detections]:
        width = images[0].shape[1]
        self.detected.append((width, len(images)))
        box = np.array([[0.25, 0.2, 0.5, 0.5]]) * width
        face = Detections(boxes_px=box, scores=np.array([0.9]))
        return [face if width >= self.min_view_px else no_faces() for _ in images]

    def refine_boxes(
        self, images: Any, boxes_px: np.ndarray, *, sizes: Any, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        return boxes_px, np.full(len(images), self.refined_score)


def search(monkeypatch: pytest.MonkeyPatch, detector: FakeDetector) -> Any:
    monkeypatch.setitem(sys.modules, "mmder_prep.faces.mtcnn", detector)
    black = np.zeros((SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)
    frames = [DecodedFrame(av.VideoFrame.from_ndarray(black, format="rgb24"))] * 16
    return find_track(frames, TIMES_S, REGION_PX, "cpu")


def test_two_frames_are_searched_if_both_show_one_face(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = FakeDetector(100)
    track, searched = search(monkeypatch, detector)
    assert detector.detected == [(200, 2)]
    assert searched == 16
    assert track.found.all()
    np.testing.assert_allclose(
        track.boxes_px, np.tile([200, 160, 400, 400], (16, 1)), atol=1e-6
    )


def test_larger_copies_are_searched_if_small_ones_show_no_face(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = FakeDetector(300)
    track, searched = search(monkeypatch, detector)
    # Two frames, the other two of four, and the remaining even ones.
    assert detector.detected == [(200, 2), (200, 2), (200, 6), (400, 2)]
    assert searched == 16
    assert track.found.all()


def test_frames_with_a_low_refined_score_are_searched_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = FakeDetector(100, refined_score=0.5)
    track, _ = search(monkeypatch, detector)
    # The two that were searched first are not searched again.
    assert detector.detected == [(200, 2), (200, 14)]
    assert track.found.all()


def test_search_without_a_face_has_no_track(monkeypatch: pytest.MonkeyPatch) -> None:
    track, searched = search(monkeypatch, FakeDetector(10_000))
    assert track is None
    assert searched == 10


def test_import_of_the_package_does_not_import_torch() -> None:
    code = "import sys, mmder_prep.faces; assert 'torch' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
