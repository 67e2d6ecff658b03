"""Layouts of the strategies: positions of faces and spectrograms in an input."""

import torch

from mmder_train.cli import option_types
from mmder_train.fusion import strategies
from mmder_train.fusion.strategies import STRATEGIES


def numbered_input() -> torch.Tensor:
    """Return an input of two clips in which each frame k is filled with k."""
    frame = torch.arange(16.0).view(1, 1, -1, 1, 1)
    return frame.expand(2, 3, 16, 224, 224).contiguous()


def test_layouts_of_faces_and_spectrograms() -> None:
    layouts = {
        name: [
            None if part is None else (part[0, 0, :, 0, 0].int().tolist(), *part.shape)
            for part in STRATEGIES[name].layout(numbered_input())
        ]
        for name in STRATEGIES
    }
    every, low, high = list(range(16)), list(range(8)), list(range(8, 16))
    whole, half = (2, 3, 16, 224, 224), (2, 3, 8, 224, 224)
    assert layouts == {
        "cfas": [(every, 2, 3, 16, 112, 224)] * 2,
        "sfas": [(every, *whole)] * 2,
        "ffls": [(low, *half), (high, *half)],
        "fslf": [(high, *half), (low, *half)],
        "ofos": [(every[::2], *half), (every[1::2], *half)],
        "rfas": [(low, *half), (high, *half)],
        "video": [(every, *whole), None],
        "audio": [None, (every, *whole)],
    }


def test_cfas_places_the_face_above_the_spectrogram() -> None:
    x = torch.zeros(1, 3, 16, 224, 224)
    v, _ = strategies.cfas(x)
    v.fill_(1)
    assert x[:, :, :, :112].min() == 1
    assert x[:, :, :, 112:].max() == 0


def test_the_command_line_lists_every_strategy() -> None:
    assert tuple(STRATEGIES) == option_types.STRATEGIES
