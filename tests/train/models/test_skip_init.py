"""Encoders that are built without random numbers, and then loaded."""

import torch

from mmder_train.models.registry import ENCODERS, build_encoder
from mmder_train.models.skip_init import SkipRandomInit


def test_a_loaded_encoder_equals_one_that_was_initialized() -> None:
    """Buffers outside of the state too: positions and the bias of keys."""
    for name in ("tiny-56", "tiny"):
        torch.manual_seed(0)
        whole = build_encoder(name)
        state = torch.get_rng_state()
        with SkipRandomInit():
            empty = build_encoder(name, ENCODERS[name].readout)
        assert torch.equal(torch.get_rng_state(), state)
        empty.load_state_dict(whole.state_dict())
        for module in (whole, empty):
            module.eval()
        pairs = zip(whole.named_buffers(), empty.named_buffers(), strict=True)
        assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
        parameters = zip(whole.parameters(), empty.parameters(), strict=True)
        assert all(torch.equal(x, y) for x, y in parameters)
