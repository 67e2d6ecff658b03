"""What holds for every encoder of the table."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmder_store.errors import SettingsError
from mmder_train.cli import options
from mmder_train.models import mae_dfer, videomae
from mmder_train.models.registry import ENCODERS, Encoder, build_encoder
from mmder_train.models.videomae import PoolingConfig, Size


@pytest.fixture(params=["videomae", "mae-dfer"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """Make one of few blocks."""
    torch.manual_seed(0)
    if request.param == "videomae":
        return videomae.Encoder(Size(dim=48, depth=3, heads=3))
    # Read from region tokens, its last block's third attention would learn nothing.
    return mae_dfer.Encoder(PoolingConfig(pool="mean"), depth=3)


def test_the_command_line_names_every_encoder() -> None:
    assert tuple(ENCODERS) == options.ENCODERS


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_takes_the_stores_clips(name: str) -> None:
    with torch.device("meta"):
        encoder = build_encoder(name)
        pooled = encoder(torch.empty(2, 3, 16, 224, 224))
    assert pooled.shape == (2, encoder.dim)


def test_tokens_are_left_out_where_they_can_be() -> None:
    assert build_encoder("tiny", drop_tokens=0.5).drop_tokens == 0.5
    with pytest.raises(SettingsError, match="the encoder mae-dfer needs all of them"):
        build_encoder("mae-dfer", drop_tokens=0.5)


def test_first_weights_are_the_seeds() -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build_encoder("tiny").parameters())

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_unknown_encoder() -> None:
    with pytest.raises(
        SettingsError, match=r"--encoder vast: expected one of tiny, tiny-56, s"
    ):
        build_encoder("vast")


def test_region_tokens_where_there_are_none() -> None:
    with pytest.raises(SettingsError, match=r"tiny has no such tokens. Say --p"):
        build_encoder("tiny", PoolingConfig(pool="region"))


@contextmanager
def attentions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, object]]]:
    """Note what PyTorch's attention is called with."""
    calls: list[dict[str, object]] = []
    kernel = nn.functional.scaled_dot_product_attention

    def noted(*parts: Tensor, **more: object) -> Tensor:
        calls.append(more)
        return kernel(*parts, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(nn.functional, "scaled_dot_product_attention", noted)
        yield calls


def test_all_attention_goes_through_the_fused_kernel(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        attentions(monkeypatch) as calls,
        # Raises where a mask, a shape or a type would call for the slow way.
        sdpa_kernel(SDPBackend.FLASH_ATTENTION),
    ):
        encoder(torch.randn(1, 3, 16, 224, 224)).sum().backward()
    each = 3 if isinstance(encoder, mae_dfer.Encoder) else 1
    assert len(calls) == each * len(encoder.blocks)
    assert all(call.get("attn_mask") is None for call in calls)


def step(encoder: Encoder, clips: Tensor) -> tuple[dict[str, Tensor], int]:
    """Give all gradients, and how many bytes were kept for them."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    encoder.zero_grad(set_to_none=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = encoder(clips).square().sum()
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in encoder.named_parameters()}  # type: ignore[union-attr]
    return gradients, sum(kept.values())


def test_gradients_are_the_same_with_checkpointing(encoder: Encoder) -> None:
    clips = torch.randn(1, 3, 16, 224, 224)
    expected, before = step(encoder, clips)
    encoder.checkpoint_activations = True
    found, after = step(encoder, clips)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert all(gradient.abs().sum() > 0 for gradient in found.values())
    assert after < before / 2


def test_the_options_of_speed_do_not_change_the_names_of_weights() -> None:
    plain = build_encoder("tiny")
    fast = build_encoder("tiny", compiled=True, checkpoint_activations=True)
    assert fast.checkpoint_activations
    assert list(fast.state_dict()) == list(plain.state_dict())


def test_compiling_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SettingsError, match=r"--compile: .* there is no no-such-comp"):
        build_encoder("tiny", compiled=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["tiny", "mae-dfer"])
def test_compiled_encoders_compute_the_same(name: str) -> None:
    torch.manual_seed(0)
    mean = PoolingConfig(pool="mean")
    plain = build_encoder(name, mean)
    fast = build_encoder(name, mean, compiled=True, checkpoint_activations=True)
    fast.load_state_dict(plain.state_dict())
    torch.compiler.reset()
    clips = torch.randn(2, 3, 16, 224, 224)
    torch.testing.assert_close(fast(clips), plain(clips), atol=2e-5, rtol=1e-5)
    expected, _ = step(plain, clips)
    found, _ = step(fast, clips)
    for parameter, gradient in expected.items():
        assert (found[parameter] - gradient).norm() < 1e-4 * gradient.norm(), parameter
    # The next fold's encoder takes what the first one's blocks were compiled to.
    following = build_encoder(name, mean, compiled=True, checkpoint_activations=True)
    with torch.compiler.set_stance("fail_on_recompile"):
        step(following, clips)
