"""The face detector: its refinement, and the modules that it does not import."""

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


def test_compiler_is_not_imported_and_works_when_imported_later() -> None:
    """After the import of the detector, `torch.compile` finds the real compiler."""
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_refinement_is_the_mean_over_the_sizes() -> None:
    """This holds for box and score, and both agree with the whole detection."""
    image = np.ascontiguousarray(data.astronaut()[:256, 100:356])
    (detected,) = detect([image], min_face_px=40, device="cpu")
    images, boxes = [image, image], np.repeat(detected.boxes_px[:1], 2, axis=0)
    sizes = (0.8, 1.0, 1.2)
    each = [refine_boxes(images, boxes, sizes=(s,), device="cpu") for s in sizes]
    box, score = refine_boxes(images, boxes, sizes=sizes, device="cpu")
    np.testing.assert_allclose(box, np.mean([b for b, _ in each], axis=0), atol=1e-3)
    np.testing.assert_allclose(score, np.mean([s for _, s in each], axis=0), atol=1e-5)
    assert np.ptp([b for b, _ in each], axis=0).max() > 0.5
    assert np.abs(box - boxes).max() < 0.1 * (boxes[:, 2] - boxes[:, 0]).max()
    assert score.min() > 0.9
