"""Faces of the synthetic corpus: one face per frame, and overlapping states."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mmder_prep.faces.mtcnn import detect
from mmder_prep.synthetic.appearance import draw_face
from mmder_prep.synthetic.clip import STATE_STD


def test_the_detector_finds_exactly_one_face(corpus: Path) -> None:
    for path in corpus.rglob("*.mp4"):
        with av.open(str(path)) as container:
            frames = [*container.decode(video=0)][::45]
        images = [frame.to_ndarray(format="rgb24") for frame in frames]
        small = [cv2.resize(image, (320, 180)) for image in images]
        for found in detect(small, min_face_px=32, device="cpu"):
            assert len(found.scores) == 1
            assert found.scores[0] > 0.9
            assert 45 < found.boxes_px[0, 2] - found.boxes_px[0, 0] < 75


@pytest.mark.parametrize("trait", ["smile", "brow"])
def test_face_states_differ_and_overlap(trait: str) -> None:
    rng = np.random.default_rng(0)
    low, mid, high = (
        np.array(
            [
                getattr(draw_face(rng, state=state, std=STATE_STD), trait)
                for _ in range(300)
            ]
        )
        for state in (-1, 0, 1)
    )
    for one, following in ((low, mid), (mid, high)):
        std = np.hypot(one.std(), following.std()) / np.sqrt(2)
        assert 1.5 < (following.mean() - one.mean()) / std < 4
        assert following.min() < one.max()
