"""Properties of every encoder in the registry."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmder_store.errors import SettingsError
from mmder_train.cli import options
from mmder_train.models import mae_dfer, videomae
from mmder_train.models.registry import ENCODERS, Encoder, build_encoder, input_dtype
from mmder_train.models.videomae import PoolingConfig, Size


@pytest.fixture(params=["videomae", "mae-dfer"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """Return an encoder with few blocks."""
    torch.manual_seed(0)
    if request.param == "videomae":
        return videomae.Encoder(Size(dim=48, depth=3, heads=3))
    # With pool="region", the third attention of the last block gets no gradient.
    return mae_dfer.Encoder(PoolingConfig(pool="mean"), depth=3)


def test_the_command_line_lists_every_encoder() -> None:
    assert tuple(ENCODERS) == options.ENCODERS


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_takes_stored_clips(name: str) -> None:
    with torch.device("meta"):
        encoder = build_encoder(name)
        pooled = encoder(torch.empty(2, 3, 16, 224, 224))
    assert pooled.shape == (2, encoder.dim)


def test_tokens_are_dropped_only_if_the_encoder_supports_it() -> None:
    assert build_encoder("tiny", drop_tokens=0.5).drop_tokens == 0.5
    with pytest.raises(SettingsError, match="the encoder mae-dfer needs all tokens"):
        build_encoder("mae-dfer", drop_tokens=0.5)


def test_the_seed_determines_the_initial_weights() -> None:
    def initial_weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build_encoder("tiny").parameters())

    assert torch.equal(initial_weights(1), initial_weights(1))
    assert not torch.equal(initial_weights(1), initial_weights(2))


def test_an_unknown_encoder_is_an_error() -> None:
    with pytest.raises(
        SettingsError, match=r"--encoder vast: expected one of tiny, tiny-56, s"
    ):
        build_encoder("vast")


def test_pooling_of_missing_region_tokens_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"tiny has no such tokens. Use --p"):
        build_encoder("tiny", PoolingConfig(pool="region"))


@contextmanager
def recorded_attention(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[dict[str, object]]]:
    """Record the keyword arguments of each call of PyTorch's attention."""
    calls: list[dict[str, object]] = []
    kernel = nn.functional.scaled_dot_product_attention

    def record(*inputs: Tensor, **options: object) -> Tensor:
        calls.append(options)
        return kernel(*inputs, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(nn.functional, "scaled_dot_product_attention", record)
        yield calls


def test_all_attention_uses_the_fused_kernel(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        recorded_attention(monkeypatch) as calls,
        # Raises if a mask, a shape or a type needs the slow kernel.
        sdpa_kernel(SDPBackend.FLASH_ATTENTION),
    ):
        encoder(torch.randn(1, 3, 16, 224, 224)).sum().backward()
    per_block = 3 if isinstance(encoder, mae_dfer.Encoder) else 1
    assert len(calls) == per_block * len(encoder.blocks)
    assert all(call.get("attn_mask") is None for call in calls)


def compute_gradients(encoder: Encoder, clips: Tensor) -> tuple[dict[str, Tensor], int]:
    """Return all gradients, and the number of bytes that were stored for them."""
    stored: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        stored[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    encoder.zero_grad(set_to_none=True)
    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        loss = encoder(clips).square().sum()
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in encoder.named_parameters()}  # type: ignore[union-attr]
    return gradients, sum(stored.values())


def test_gradients_are_the_same_with_checkpointing(encoder: Encoder) -> None:
    clips = torch.randn(1, 3, 16, 224, 224)
    expected, before = compute_gradients(encoder, clips)
    encoder.checkpoint_activations = True
    gradients, after = compute_gradients(encoder, clips)
    torch.testing.assert_close(gradients, expected, atol=0, rtol=0)
    assert all(gradient.abs().sum() > 0 for gradient in gradients.values())
    assert after < before / 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_inputs_in_the_named_format_give_the_same_output(
    encoder: Encoder, dtype: torch.dtype
) -> None:
    """MAE-DFER resizes its input, and a rounded input would change the result."""
    encoder.to(dtype).eval()
    clips = torch.randn(2, 3, 16, 224, 224)
    named = input_dtype(encoder)
    assert named == (dtype if isinstance(encoder, videomae.Encoder) else torch.float32)
    with torch.inference_mode():
        assert torch.equal(encoder(clips.to(named)), encoder(clips))


def test_speed_options_do_not_change_the_names_of_weights() -> None:
    plain = build_encoder("tiny")
    fast = build_encoder("tiny", compiled=True, checkpoint_activations=True)
    assert fast.checkpoint_activations
    assert list(fast.state_dict()) == list(plain.state_dict())


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
    expected, _ = compute_gradients(plain, clips)
    gradients, _ = compute_gradients(fast, clips)
    for parameter, gradient in expected.items():
        assert (gradients[parameter] - gradient).norm() < 1e-4 * gradient.norm(), (
            parameter
        )
    # The encoder of the next fold uses the code compiled for the first one.
    following = build_encoder(name, mean, compiled=True, checkpoint_activations=True)
    with torch.compiler.set_stance("fail_on_recompile"):
        compute_gradients(following, clips)
