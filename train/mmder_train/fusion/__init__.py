"""Fusion of video frames and audio spectrograms into the encoder's input."""

from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import IMAGE_NORMS, ImageNorm, RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy

__all__ = [
    "IMAGE_NORMS",
    "STRATEGIES",
    "ImageNorm",
    "RenderSettings",
    "Strategy",
    "frame_permutations",
    "fuse",
]
