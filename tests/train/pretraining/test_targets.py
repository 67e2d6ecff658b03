"""Targets and losses: against explicit loops and numbers by hand."""

import numpy as np
import pytest
import torch

from mmder_train.pretraining import targets

PX = 56
SIDE = 4


def test_pixels_are_those_of_the_tubelets() -> None:
    x = torch.randn(2, 3, 16, 224, 224)
    tokens = torch.tensor([[0, 5, 127], [16, 3, 90]])
    pixels = targets.token_pixels(x, tokens, patch_px=PX)
    assert pixels.shape == (2, 3, 3 * 2 * PX * PX)
    for clip in range(2):
        for position, token in enumerate(tokens[clip].tolist()):
            time, row, column = np.unravel_index(token, (8, SIDE, SIDE))
            box = x[
                clip,
                :,
                2 * time : 2 * time + 2,
                PX * row : PX * row + PX,
                PX * column : PX * column + PX,
            ]
            assert torch.equal(pixels[clip, position], box.flatten())


def test_pixels_are_normalized_per_tubelet_and_color() -> None:
    """The formula of VideoMAE: unbiased standard deviation, plus 1e-6."""
    pixels = torch.randn(1, 4, 3 * 2 * 16) * 3 + 1
    normalized = targets.normalize_pixels(pixels)[0].numpy()
    for token in range(4):
        for color in range(3):
            part = slice(32 * color, 32 * color + 32)
            values = pixels[0, token, part].double().numpy()
            expected = (values - values.mean()) / (values.std(ddof=1) + 1e-6)
            np.testing.assert_allclose(normalized[token, part], expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.1, -2.117904, 0.3333333, 2.64])
def test_a_patch_of_one_color_becomes_zero(value: float) -> None:
    """Rounding errors of its mean are not enlarged."""
    pixels = torch.full((1, 1, 3 * 2 * 16 * 16), value)
    assert torch.equal(targets.normalize_pixels(pixels), torch.zeros_like(pixels))


def test_motion_is_the_difference_of_the_second_frame() -> None:
    """Two pixels per frame and color; the second token shows audio."""
    pixels = torch.tensor([[[1, 2, 5, 7] * 3, [1, 2, 5, 7] * 3]]).float()
    kinds = torch.tensor([[[1, 1], [2, 2]]])
    moved = targets.to_motion(pixels, kinds)
    assert moved[0, 0].tolist() == [1, 2, 4, 5] * 3
    assert moved[0, 1].tolist() == [1, 2, 5, 7] * 3
    assert torch.equal(targets.to_motion(moved, kinds, first_sign=1.0), pixels)


def test_loss_by_hand() -> None:
    """One clip, two tokens, one pixel per frame and color."""
    target = torch.zeros(1, 2, 6)
    predicted = torch.tensor(
        # red, green and blue, each in the first and in the second frame
        [[[1, 0, 1, 0, 1, 3], [2, 0, 2, 0, 2, 0]]]
    ).float()
    errors = targets.frame_errors(predicted, target)
    assert errors.tolist() == [[[1.0, 3.0], [4.0, 0.0]]]
    kinds = torch.tensor([[[1, 2], [2, 3]]])
    sums = targets.kind_sums(errors, kinds)
    # Video: 1. Audio: 3 and 4. The last frame shows the sum of both.
    assert sums.tolist() == [[[1.0, 1.0], [7.0, 2.0]]]
    assert targets.kind_losses(sums[0], prefix="val_") == {
        "val_loss_video": 1.0,
        "val_loss_audio": 3.5,
    }
    assert targets.kind_losses(torch.zeros(2, 2)) == {}


def test_targets_of_motion_are_normalized_first() -> None:
    x = torch.randn(1, 3, 16, 224, 224)
    tokens = torch.tensor([[7]])
    kinds = torch.tensor([[[1, 1]]])
    make = targets.make_targets
    pixels = make(x, tokens, kinds, patch_px=PX, target="pixels")
    motion = make(x, tokens, kinds, patch_px=PX, target="motion")
    first, second = pixels.view(3, 2, -1).unbind(1)
    assert torch.equal(motion.view(3, 2, -1)[:, 0], first)
    torch.testing.assert_close(motion.view(3, 2, -1)[:, 1], second - first)
