"""Weights of any source under the official names; no code from a file ever runs."""

from mmder_train.weights.load import load_weights
from mmder_train.weights.matching import build_empty, compare, load_into
from mmder_train.weights.native import save_weights, to_state_dict
from mmder_train.weights.types import Weights

__all__ = [
    "Weights",
    "build_empty",
    "compare",
    "load_into",
    "to_state_dict",
    "load_weights",
    "save_weights",
]
