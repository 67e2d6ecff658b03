"""Weights of any source under the official names; no code from a file ever runs."""

from mmder_train.weights.fit import build_empty, compare, fill
from mmder_train.weights.held import Weights
from mmder_train.weights.load import load
from mmder_train.weights.own import flat, save

__all__ = [
    "Weights",
    "build_empty",
    "compare",
    "fill",
    "flat",
    "load",
    "save",
]
