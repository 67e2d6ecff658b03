"""A test of this folder fails without a GPU: it was asked for by `make test-gpu`."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def gpu() -> torch.device:
    """Return the GPU, or fail."""
    if not torch.cuda.is_available():
        pytest.fail("torch finds no GPU; these tests need one", pytrace=False)
    return torch.device("cuda", torch.cuda.current_device())
