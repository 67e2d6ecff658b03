"""Export to ONNX through torch's exporter."""

from pathlib import Path

import torch
from torch import nn

from mmder_store.errors import SettingsError
from mmder_train.models.videomae import FRAMES, SIDE_PX

TOLERANCE = 1e-3
"""Largest accepted difference of a logit between the model and its export."""


def export_onnx(model: nn.Module, path: Path) -> float:
    """Write a classifier as ONNX, run it with ONNX Runtime and compare the logits.

    The input is ``clips``, float32 of shape (clip, 3, 16, 224, 224) with any number of
    clips. The output is ``logits``.

    Args:
        model: Classifier from clips to logits, on the CPU.
        path: File to write. Large weights go to files next to it.

    Returns:
        Largest absolute difference of a logit on two random clips.

    Raises:
        SettingsError: If a package is missing, or if the logits differ.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        msg = (
            f"--to onnx: the package {error.name} is not installed; install mmder with "
            "the extra 'onnx'"
        )
        raise SettingsError(msg) from error
    clips = probe_clips(2)
    model.eval()
    torch.onnx.export(
        model,
        (clips,),
        path,
        input_names=["clips"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("clip", min=1)},),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = 0.0
    for part in (clips, clips[:1]):
        with torch.inference_mode():
            ours = model(part)
        (theirs,) = session.run(None, {"clips": part.numpy()})
        gap = float((ours - torch.from_numpy(theirs)).abs().max())
        difference = max(difference, gap)
    if not difference <= TOLERANCE:
        msg = (
            f"--to onnx: the logits of ONNX Runtime differ by {difference:.2g}; "
            f"expected at most {TOLERANCE:g}. Nothing was written."
        )
        raise SettingsError(msg)
    return difference


def probe_clips(count: int) -> torch.Tensor:
    """Return random normalized clips of shape (count, 3, 16, 224, 224)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, FRAMES, SIDE_PX, SIDE_PX, generator=generator)
