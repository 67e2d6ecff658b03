"""Copies of a training state: they keep the values of the moment, in kept buffers."""

import torch

from mmder_train.runtime.host_copies import HostCopies


def test_a_copy_keeps_its_values_when_the_tensors_change() -> None:
    weight, count = torch.randn(3, 4), torch.tensor(1)
    copies = HostCopies()
    copied = copies.copy([("weight", weight), ("count", count)])
    expected = weight.clone()
    weight.add_(1)
    count.add_(1)
    assert torch.equal(copied["weight"], expected)
    assert copied["count"].item() == 1


def test_buffers_are_used_again_unless_their_shape_changes() -> None:
    copies = HostCopies()
    first = copies.copy([("a", torch.zeros(2)), ("b", torch.zeros(2))])
    second = copies.copy([("a", torch.ones(2)), ("b", torch.ones(3))])
    assert second["a"].data_ptr() == first["a"].data_ptr()
    assert torch.equal(second["a"], torch.ones(2))
    assert torch.equal(second["b"], torch.ones(3))
    assert copies.copy([]) == {}


def test_a_transposed_tensor_becomes_contiguous() -> None:
    (copied,) = HostCopies().copy([("a", torch.arange(6).view(2, 3).T)]).values()
    assert copied.is_contiguous()
    assert copied.tolist() == [[0, 3], [1, 4], [2, 5]]
