"""Laws of mixing: what two clips become, and what their labels say of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mmder_train.data.mixup import Mixup, exchanged, mix_labels
from mmder_train.fusion.fuse import frame_permutations
from mmder_train.fusion.strategies import STRATEGIES

CLASSES = 8
EACH = pytest.mark.parametrize("name", STRATEGIES)
alphas = st.floats(0.05, 4)
seeds = st.integers(0, 2**31)


def numbered(clips: int) -> torch.Tensor:
    """Give inputs that are all of the number of their clip."""
    number = torch.arange(float(clips)).view(-1, 1, 1, 1, 1)
    return number.expand(-1, 3, 16, 224, 224).contiguous()


def told_apart(clips: int) -> torch.Tensor:
    """Give inputs with another number at each place of each clip."""
    number = torch.arange(float(clips * 16 * 224 * 224)).view(clips, 1, 16, 224, 224)
    return number.expand(-1, 3, -1, -1, -1).contiguous()


@EACH
@settings(max_examples=8, deadline=None)
@given(
    mixup=st.one_of(st.just(0.0), alphas),
    cutmix=st.one_of(st.just(0.0), alphas),
    smoothing=st.floats(0, 0.5),
    clips=st.integers(1, 4),
    seed=seeds,
)
def test_labels_say_what_the_clips_are_made_of(
    name: str, mixup: float, cutmix: float, smoothing: float, clips: int, seed: int
) -> None:
    torch.manual_seed(seed)
    x, labels = numbered(clips), torch.arange(clips)
    found, target = Mixup(mixup=mixup, cutmix=cutmix).apply(
        x,
        labels,
        classes=CLASSES,
        strategy=STRATEGIES[name],
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(target.sum(1), torch.ones(clips))
    assert target.min() >= 0
    # Without its smoothing, a target's mean class is the mean number in the input.
    hard = (target - smoothing / CLASSES) / (1 - smoothing)
    mean = (hard * torch.arange(CLASSES)).sum(1)
    torch.testing.assert_close(
        found.double().mean((1, 2, 3, 4)).float(), mean, atol=1e-4, rtol=1e-4
    )
    assert torch.equal(x, numbered(clips))


@EACH
@settings(max_examples=4, deadline=None)
@given(
    mixup=st.sampled_from([0.0, 0.8]), cutmix=st.sampled_from([0.0, 1.0]), seed=seeds
)
def test_pairs_are_the_same_from_either_end(
    name: str, mixup: float, cutmix: float, seed: int
) -> None:
    x, labels = torch.rand(3, 3, 16, 224, 224), torch.tensor([5, 0, 2])
    mixing = Mixup(mixup=mixup, cutmix=cutmix)
    found = []
    for batch, of in ((x, labels), (x.flip(0), labels.flip(0))):
        torch.manual_seed(seed)
        found.append(
            mixing.apply(batch, of, classes=CLASSES, strategy=STRATEGIES[name])
        )
    (there, target), (back, same) = found
    assert torch.equal(there.flip(0), back)
    assert torch.equal(target.flip(0), same)


@EACH
@settings(max_examples=5, deadline=None)
@given(share=st.floats(0, 1), seed=seeds)
def test_a_cut_out_stays_in_its_place_and_is_the_same_in_all_frames(
    name: str, share: float, seed: int
) -> None:
    torch.manual_seed(seed)
    x = numbered(2)
    found, taken = exchanged(x, share, strategy=STRATEGIES[name])
    assert abs(taken - share) < 0.02
    assert torch.equal(found[0], 1 - found[1])  # each has what the other gave
    v, a = STRATEGIES[name].layout(found)
    for part in (v, a):
        if part is not None:
            assert (part == part[:, :1, :1]).all()
    if a is not None and v is not a and name != "rfas":
        assert (a == a[..., :1]).all()  # all of time
    if v is not None and v is not a and 0.2 < share < 0.8:
        assert v[0].amin() == 0
        assert v[0].amax() == 1


@pytest.mark.parametrize("name", ["cfas", "ofos", "sfas", "audio"])
def test_what_is_exchanged_was_at_the_same_place(name: str) -> None:
    torch.manual_seed(0)
    x = told_apart(2)
    found, _ = exchanged(x, 0.4, strategy=STRATEGIES[name])
    assert ((found == x) | (found == x.flip(0))).all()


def test_nothing_is_mixed_at_zero_strength() -> None:
    x, labels = torch.rand(2, 3, 16, 224, 224), torch.tensor([3, 1])
    state = torch.get_rng_state()
    found, target = Mixup().apply(
        x, labels, classes=4, strategy=STRATEGIES["cfas"], label_smoothing=0.1
    )
    assert found is x
    assert torch.equal(torch.get_rng_state(), state)
    logits = torch.randn(2, 4)
    torch.testing.assert_close(
        functional.cross_entropy(logits, target),
        functional.cross_entropy(logits, labels, label_smoothing=0.1),
    )


def test_pairs_of_rfas_share_an_order() -> None:
    places = frame_permutations(list("abcde"), seed=0)
    found = mix_labels(places)
    assert torch.equal(found, found.flip(0))
    assert torch.equal(found[:3], places[:3])
