"""The face detector: what its last network adds, and what it does not load."""

import subprocess
import sys

import numpy as np
from skimage import data

from mmder_prep.faces.mtcnn import detect, refine_boxes

CODE = """
import sys
import mmder_prep.faces.mtcnn
assert "torch._dynamo" not in sys.modules
assert "torch._inductor" not in sys.modules
import torch
add = torch.compile(lambda x: x + 1, backend="eager")
assert add(torch.ones(1)).item() == 2
assert hasattr(sys.modules["torch._dynamo"], "optimize")
"""


def test_the_compiler_is_not_loaded_and_works_when_it_is() -> None:
    """After the detector, `torch.compile` finds the real one."""
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_a_closer_look_is_the_mean_of_looks_at_each_size() -> None:
    """Box and score; and all of them find the face that a whole search found."""
    picture = np.ascontiguousarray(data.astronaut()[:256, 100:356])
    (found,) = detect([picture], min_face_px=40, device="cpu")
    pictures, boxes = [picture, picture], np.repeat(found.boxes_px[:1], 2, axis=0)
    sizes = (0.8, 1.0, 1.2)
    each = [refine_boxes(pictures, boxes, sizes=(s,), device="cpu") for s in sizes]
    box, score = refine_boxes(pictures, boxes, sizes=sizes, device="cpu")
    np.testing.assert_allclose(box, np.mean([b for b, _ in each], axis=0), atol=1e-3)
    np.testing.assert_allclose(score, np.mean([s for _, s in each], axis=0), atol=1e-5)
    assert np.ptp([b for b, _ in each], axis=0).max() > 0.5
    assert np.abs(box - boxes).max() < 0.1 * (boxes[:, 2] - boxes[:, 0]).max()
    assert score.min() > 0.9
