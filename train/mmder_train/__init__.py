"""Training: from a sealed store to WAR and UAR on unseen speakers.

The names in ``__all__`` are the public Python interface; everything else may change.
They are imported on first use, so that a program that only shows its help does not wait
for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmder_train.data.fusion_dataset import FusionDataset
    from mmder_train.evaluation.load_results import load_results
    from mmder_train.fusion.fuse import frame_permutations, fuse
    from mmder_train.fusion.rendering import RenderSettings
    from mmder_train.fusion.strategies import STRATEGIES
    from mmder_train.inference.predictor import Prediction, predict_files
    from mmder_train.inference.trained_run import TrainedRun, load_trained_run
    from mmder_train.models.registry import build_encoder
    from mmder_train.weights.encoder import load_encoder
    from mmder_train.weights.load import load_weights

_MODULES = {
    "FusionDataset": "data.fusion_dataset",
    "Prediction": "inference.predictor",
    "RenderSettings": "fusion.rendering",
    "STRATEGIES": "fusion.strategies",
    "TrainedRun": "inference.trained_run",
    "build_encoder": "models.registry",
    "frame_permutations": "fusion.fuse",
    "fuse": "fusion.fuse",
    "load_encoder": "weights.encoder",
    "load_results": "evaluation.load_results",
    "load_trained_run": "inference.trained_run",
    "load_weights": "weights.load",
    "predict_files": "inference.predictor",
}

__all__ = [
    "STRATEGIES",
    "FusionDataset",
    "Prediction",
    "RenderSettings",
    "TrainedRun",
    "build_encoder",
    "frame_permutations",
    "fuse",
    "load_encoder",
    "load_results",
    "load_trained_run",
    "load_weights",
    "predict_files",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
