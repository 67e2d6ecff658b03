"""Batched inference: smaller parts if memory is short, and averages of views."""

import re
import weakref

import pytest
import torch
from torch import Tensor, nn

from mmder_store.errors import MmderError
from mmder_train.training.evaluate import average_views, collect_outputs

CPU = torch.device("cpu")


class LimitedModel(nn.Module):
    """A model that runs out of memory with more than some clips at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.sizes = most, list[int]()
        self.held: list[bool] = []
        self.activations: weakref.ref[Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.activations is not None:
            self.held.append(self.activations() is not None)
        activations = 2 * x
        self.activations = weakref.ref(activations)
        if len(x) > self.most:
            # Fails as every allocation of torch that does not fit.
            torch.empty(2**62, dtype=torch.uint8)
        self.sizes.append(len(x))
        return activations + 1


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    x = torch.randn(16, 3)
    model = LimitedModel(2)
    batches = [(torch.arange(8), x[:8]), (torch.arange(8, 16), x[8:])]
    index, outputs = collect_outputs(model, batches, device=CPU)
    assert index.tolist() == list(range(16))
    assert torch.equal(outputs, 2 * x + 1)
    # The size that fits is kept for the following batches.
    assert model.sizes == [2] * 8
    assert not any(model.held)


def test_one_clip_that_does_not_fit_is_an_error_in_one_line() -> None:
    text = "out of memory: one clip does not fit in an evaluation. Use a smaller"
    batch = torch.arange(4), torch.randn(4, 3)
    with pytest.raises(MmderError, match=re.escape(text)):
        collect_outputs(LimitedModel(0), [batch], device=CPU)


def test_other_errors_are_not_changed() -> None:
    batch = torch.arange(4), torch.randn(4, 3)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        collect_outputs(nn.Linear(5, 2), [batch], device=CPU)


def test_views_are_averaged_as_probabilities() -> None:
    first, second = torch.randn(2, 6, 4)
    first[0] = torch.tensor([900.0, 0, 0, 0])
    second[0] = torch.tensor([900.0, 0, 0, 0])
    mean = average_views([first, second])
    expected = (first.double().softmax(1) + second.double().softmax(1)) / 2
    assert mean.isfinite().all()
    torch.testing.assert_close(mean.softmax(1), expected)
    assert average_views([first]) is first
