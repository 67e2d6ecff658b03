"""The masked autoencoder: only visible tokens reach the encoder."""

import pytest
import torch

from mmder_store.errors import SettingsError
from mmder_train.models import videomae
from mmder_train.models.registry import ENCODERS, build_encoder
from mmder_train.pretraining.decoder import DECODERS, DecoderSize
from mmder_train.pretraining.masking import hidden_tokens
from mmder_train.pretraining.model import build_autoencoder, encode_visible
from mmder_train.pretraining.targets import token_pixels

TOKENS = 128


@pytest.fixture(scope="module")
def encoder() -> videomae.Encoder:
    """Return a small encoder of 128 tokens."""
    torch.manual_seed(0)
    made = build_encoder("tiny-56").eval()
    assert isinstance(made, videomae.Encoder)
    return made


def draw_visible(clips: int, number: int) -> torch.Tensor:
    return torch.stack(
        [torch.randperm(TOKENS)[:number].sort().values for _ in range(clips)]
    )


def test_all_tokens_visible_is_the_full_forward(encoder: videomae.Encoder) -> None:
    """Also in another order: the order of tokens only permutes the outputs."""
    x = torch.randn(2, 3, 16, 224, 224)
    with torch.inference_mode():
        full = encoder.tokens(x)
        order = torch.randperm(TOKENS).expand(2, -1)
        some = encode_visible(encoder, x, order)
    expected = full.gather(1, order[:, :, None].expand_as(full))
    torch.testing.assert_close(some, expected, atol=1e-5, rtol=1e-4)


def test_hidden_pixels_do_not_reach_the_encoder(encoder: videomae.Encoder) -> None:
    x = torch.randn(2, 3, 16, 224, 224, requires_grad=True)
    visible = draw_visible(2, 13)
    hidden = hidden_tokens(visible, TOKENS)
    encoded = encode_visible(encoder, x, visible)
    assert encoded.shape == (2, 13, encoder.dim)
    (gradient,) = torch.autograd.grad(encoded.square().sum(), x)
    of_hidden = token_pixels(gradient, hidden, patch_px=56)
    of_visible = token_pixels(gradient, visible, patch_px=56)
    assert torch.count_nonzero(of_hidden) == 0
    assert (of_visible.abs().amax(2) > 0).all()
    changed = torch.full_like(x, torch.nan).detach()
    for clip, token in visible.new_tensor(
        [[c, t] for c in range(2) for t in visible[c].tolist()]
    ).tolist():
        time, row, column = token // 16, token // 4 % 4, token % 4
        box = (
            clip,
            slice(None),
            slice(2 * time, 2 * time + 2),
            slice(56 * row, 56 * row + 56),
            slice(56 * column, 56 * column + 56),
        )
        changed[box] = x.detach()[box]
    assert torch.equal(encode_visible(encoder, changed, visible), encoded)


def test_a_prediction_depends_on_position_and_on_visible_pixels(
    encoder: videomae.Encoder,
) -> None:
    model = build_autoencoder("tiny-56", encoder).eval()
    assert model.patch_px == 56
    x = torch.randn(1, 3, 16, 224, 224)
    visible = draw_visible(1, 13)
    hidden = hidden_tokens(visible, TOKENS)
    with torch.inference_mode():
        predicted = model(x, visible, hidden)
        other = model(x + 1, visible, hidden)
    assert predicted.shape == (1, TOKENS - 13, 3 * 2 * 56 * 56)
    assert not torch.allclose(predicted[0, 0], predicted[0, 1])
    assert not torch.allclose(predicted, other)


def test_all_weights_are_trained(encoder: videomae.Encoder) -> None:
    """With several processes, a weight without a gradient would stop the training."""
    model = build_autoencoder("tiny-56", encoder)
    visible = draw_visible(1, 13)
    x = torch.randn(1, 3, 16, 224, 224)
    model(x, visible, hidden_tokens(visible, TOKENS)).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    model.zero_grad(set_to_none=True)
    assert not without


def test_every_videomae_encoder_has_a_decoder() -> None:
    assert {*DECODERS, "mae-dfer"} == set(ENCODERS)
    assert DECODERS["small"] == DecoderSize(dim=192, depth=4, heads=3)
    assert DECODERS["base"] == DecoderSize(dim=384, depth=4, heads=6)
    assert DECODERS["large"] == DecoderSize(dim=512, depth=4, heads=8)


def test_mae_dfer_is_refused_in_one_line() -> None:
    with torch.device("meta"):
        made = build_encoder("mae-dfer")
    with pytest.raises(SettingsError, match="equally many visible tokens") as error:
        build_autoencoder("mae-dfer", made)
    assert "Use one of tiny, tiny-56, small, base" in str(error.value)
