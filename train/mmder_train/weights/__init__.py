"""Pretrained weights of any known source, under the names of the official VideoMAE.

No code from a weights file is ever run.
"""

from mmder_train.weights.load import load_weights
from mmder_train.weights.matching import (
    build_meta_encoder,
    load_into,
    match_weights,
)
from mmder_train.weights.native import save_weights, to_state_dict
from mmder_train.weights.types import Weights

__all__ = [
    "Weights",
    "build_meta_encoder",
    "load_into",
    "load_weights",
    "match_weights",
    "save_weights",
    "to_state_dict",
]
