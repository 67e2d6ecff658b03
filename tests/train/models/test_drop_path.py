"""Stochastic depth: timm's values, and one compiled graph for all blocks."""

import inspect
from collections.abc import Callable
from functools import partial

import pytest
import torch
from timm.layers import DropPath as TimmDropPath  # type: ignore[attr-defined]
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from mmder_train.models import mae_dfer, videomae
from mmder_train.models.drop_path import DropPath
from mmder_train.models.registry import ENCODERS, EncoderEntry, build_encoder
from mmder_train.models.videomae import PoolingConfig, Size

DEPTH = 12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_those_of_timm_for_the_same_draws(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    draw: Callable[..., Tensor] = Tensor.bernoulli_
    # torch draws differently from a number than from a tensor of equal probability.
    monkeypatch.setattr(
        Tensor, "bernoulli_", lambda out, p: draw(out, torch.tensor(p, dtype=dtype))
    )
    branch = torch.randn(64, 5, 3).to(dtype)
    for rate in (0.0, 0.1, 0.5):
        torch.manual_seed(4)
        expected = TimmDropPath(rate)(branch)
        torch.manual_seed(4)
        found = DropPath(rate)(branch)
        assert found.dtype == dtype
        assert torch.equal(found == 0, expected == 0)
        tolerance = 0 if dtype == torch.float32 else 1e-2
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)
        if rate:
            dropped = (found == 0).flatten(1).all(1).float().mean().item()
            assert dropped == pytest.approx(rate, abs=0.17)


def test_evaluation_drops_nothing_and_draws_nothing() -> None:
    branch = torch.randn(8, 3)
    state = torch.get_rng_state()
    assert DropPath(0.5).eval()(branch) is branch
    assert torch.equal(torch.get_rng_state(), state)
    assert DropPath(0.25).rate == 0.25
    assert not DropPath(0.25).state_dict()


def remove_shape_checks(monkeypatch: pytest.MonkeyPatch, *kinds: type) -> None:
    """Compile what users run: tests check shapes with wrappers that split graphs."""
    for kind in kinds:
        for name, method in list(vars(kind).items()):
            if inspect.isfunction(method):
                monkeypatch.setattr(kind, name, inspect.unwrap(method))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["videomae", "mae-dfer"])
def test_all_blocks_share_one_graph_for_training_and_one_for_evaluation(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "videomae":
        size = Size(dim=16, depth=DEPTH, heads=1, patch_px=56)
        entry = EncoderEntry(
            make=partial(videomae.Encoder, size), readout=PoolingConfig()
        )
    else:
        monkeypatch.setattr(mae_dfer, "DIM", 16)
        monkeypatch.setattr(mae_dfer, "HEADS", 1)
        entry = EncoderEntry(
            make=partial(mae_dfer.Encoder, depth=DEPTH),
            readout=PoolingConfig(pool="region"),
            pools=("region",),
            residuals=("drop_path",),
        )
    monkeypatch.setitem(ENCODERS, name, entry)
    checked = DropPath, mae_dfer.Block, mae_dfer.Attention, mae_dfer.Mlp
    remove_shape_checks(monkeypatch, *checked)
    encoder = build_encoder(name, drop_path=0.1)
    rates = [
        getattr(block, residual).rate
        for block in encoder.blocks
        for residual in entry.residuals
    ]
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.1)
    torch.compiler.reset()
    graphs = CompileCounter()
    for block in encoder.blocks:
        block.compile(backend=graphs)
    clips = torch.randn(2, 3, 16, 224, 224)
    counts = []
    for _ in range(2):
        encoder.train()
        encoder(clips).sum().backward()
        counts.append(graphs.frame_count)
        encoder.eval()
        with torch.inference_mode():
            encoder(clips)
        counts.append(graphs.frame_count)
    assert counts == [1, 2, 2, 2]
    torch.compiler.reset()
