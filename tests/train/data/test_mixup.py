"""Mixup and CutMix: contents of the mixed clips, and labels that match them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mmder_train.data.mixup import Mixup, cutmix, pair_permutations
from mmder_train.fusion import STRATEGIES, frame_permutations

CLASSES = 8
EACH_STRATEGY = pytest.mark.parametrize("name", STRATEGIES)
alphas = st.floats(0.05, 4)
seeds = st.integers(0, 2**31)


def numbered_clips(clips: int) -> torch.Tensor:
    """Return inputs that are filled with the index of their clip."""
    number = torch.arange(float(clips)).view(-1, 1, 1, 1, 1)
    return number.expand(-1, 3, 16, 224, 224).contiguous()


def numbered_pixels(clips: int) -> torch.Tensor:
    """Return inputs with a different number at each pixel of each clip."""
    number = torch.arange(float(clips * 16 * 224 * 224)).view(clips, 1, 16, 224, 224)
    return number.expand(-1, 3, -1, -1, -1).contiguous()


@EACH_STRATEGY
@settings(max_examples=8, deadline=None)
@given(
    mixup_alpha=st.one_of(st.just(0.0), alphas),
    cutmix_alpha=st.one_of(st.just(0.0), alphas),
    smoothing=st.floats(0, 0.5),
    clips=st.integers(1, 4),
    seed=seeds,
)
def test_labels_match_the_contents_of_the_clips(
    name: str,
    mixup_alpha: float,
    cutmix_alpha: float,
    smoothing: float,
    clips: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    x, labels = numbered_clips(clips), torch.arange(clips)
    mixed, target = Mixup(mixup=mixup_alpha, cutmix=cutmix_alpha).apply(
        x,
        labels,
        classes=CLASSES,
        strategy=STRATEGIES[name],
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(target.sum(1), torch.ones(clips))
    assert target.min() >= 0
    # Without smoothing, the mean class of a target is the mean number in its input.
    unsmoothed = (target - smoothing / CLASSES) / (1 - smoothing)
    mean = (unsmoothed * torch.arange(CLASSES)).sum(1)
    torch.testing.assert_close(
        mixed.double().mean((1, 2, 3, 4)).float(), mean, atol=1e-4, rtol=1e-4
    )
    assert torch.equal(x, numbered_clips(clips))


@EACH_STRATEGY
@settings(max_examples=4, deadline=None)
@given(
    mixup_alpha=st.sampled_from([0.0, 0.8]),
    cutmix_alpha=st.sampled_from([0.0, 1.0]),
    seed=seeds,
)
def test_a_reversed_batch_is_mixed_alike(
    name: str, mixup_alpha: float, cutmix_alpha: float, seed: int
) -> None:
    x, labels = torch.rand(3, 3, 16, 224, 224), torch.tensor([5, 0, 2])
    mixup = Mixup(mixup=mixup_alpha, cutmix=cutmix_alpha)
    results = []
    for batch, batch_labels in ((x, labels), (x.flip(0), labels.flip(0))):
        torch.manual_seed(seed)
        results.append(
            mixup.apply(batch, batch_labels, classes=CLASSES, strategy=STRATEGIES[name])
        )
    (mixed, target), (reversed_mixed, reversed_target) = results
    assert torch.equal(mixed.flip(0), reversed_mixed)
    assert torch.equal(target.flip(0), reversed_target)


@EACH_STRATEGY
@settings(max_examples=5, deadline=None)
@given(fraction=st.floats(0, 1), seed=seeds)
def test_cutmix_replaces_the_same_part_of_all_frames(
    name: str, fraction: float, seed: int
) -> None:
    torch.manual_seed(seed)
    x = numbered_clips(2)
    mixed, replaced = cutmix(x, fraction, strategy=STRATEGIES[name])
    assert abs(replaced - fraction) < 0.02
    assert torch.equal(mixed[0], 1 - mixed[1])  # both clips exchange the same part
    v, a = STRATEGIES[name].layout(mixed)
    for part in (v, a):
        if part is not None:
            assert (part == part[:, :1, :1]).all()
    if a is not None and v is not a and name != "rfas":
        assert (a == a[..., :1]).all()  # a band spans the whole time
    if v is not None and v is not a and 0.2 < fraction < 0.8:
        assert v[0].amin() == 0
        assert v[0].amax() == 1


@pytest.mark.parametrize("name", ["cfas", "ofos", "sfas", "audio"])
def test_cutmix_keeps_the_position_of_every_pixel(name: str) -> None:
    torch.manual_seed(0)
    x = numbered_pixels(2)
    mixed, _ = cutmix(x, 0.4, strategy=STRATEGIES[name])
    assert ((mixed == x) | (mixed == x.flip(0))).all()


def test_zero_alphas_mix_nothing() -> None:
    x, labels = torch.rand(2, 3, 16, 224, 224), torch.tensor([3, 1])
    state = torch.get_rng_state()
    mixed, target = Mixup().apply(
        x, labels, classes=4, strategy=STRATEGIES["cfas"], label_smoothing=0.1
    )
    assert mixed is x
    assert torch.equal(torch.get_rng_state(), state)
    logits = torch.randn(2, 4)
    torch.testing.assert_close(
        functional.cross_entropy(logits, target),
        functional.cross_entropy(logits, labels, label_smoothing=0.1),
    )


def test_both_clips_of_a_pair_have_one_frame_order() -> None:
    orders = frame_permutations(list("abcde"), seed=0)
    paired = pair_permutations(orders)
    assert torch.equal(paired, paired.flip(0))
    assert torch.equal(paired[:3], orders[:3])
