"""What may change in a face, and that it changes alike in all frames of a clip."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from mmder_train.data import image_transforms

CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "flipped": lambda f: image_transforms.flip(f, chance=0.5),
    "cropped": lambda f: image_transforms.crop(f, least=0.5),
    "jittered": lambda f: image_transforms.jitter(f, by=0.4),
}
EACH = pytest.mark.parametrize("name", CHANGES)


def drawn(clips: int, frames: int, seed: int = 0) -> torch.Tensor:
    """Draw pictures that are smooth enough to be told apart after a crop."""
    small = torch.rand(
        clips * frames, 3, 7, 7, generator=torch.Generator().manual_seed(seed)
    )
    large = torch.nn.functional.interpolate(small, size=(224, 224), mode="bilinear")
    return (
        large.mul(255)
        .byte()
        .permute(0, 2, 3, 1)
        .reshape(clips, frames, 224, 224, 3)
        .contiguous()
    )


def by_seed(name: str, frames: torch.Tensor, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return CHANGES[name](frames)


@EACH
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(3)))
def test_all_frames_of_a_clip_change_alike(
    name: str, seed: int, order: list[int]
) -> None:
    frames = drawn(2, 3)
    found = by_seed(name, frames, seed)
    assert found.dtype == torch.uint8
    assert torch.equal(by_seed(name, frames[:, order], seed), found[:, order])
    assert torch.equal(by_seed(name, frames, seed), found)


@EACH
def test_clips_change_each_in_its_way_and_are_not_written_to(name: str) -> None:
    same = drawn(1, 1).expand(6, -1, -1, -1, -1).contiguous()
    before = same.clone()
    found = by_seed(name, same, 1)
    assert torch.equal(same, before)
    assert len({tuple(clip.flatten().tolist()) for clip in found}) > 1


def test_a_flip_exchanges_left_and_right_of_some_clips() -> None:
    frames = drawn(1, 2).expand(64, -1, -1, -1, -1)
    torch.manual_seed(0)
    found = image_transforms.flip(frames, chance=0.5)
    mirrored = [torch.equal(clip, frames[0].flip(2)) for clip in found]
    kept = [torch.equal(clip, frames[0]) for clip in found]
    assert sum(mirrored) + sum(kept) == 64
    assert 16 < sum(mirrored) < 48
    assert torch.equal(image_transforms.flip(frames, chance=1.0), frames.flip(3))
    assert torch.equal(image_transforms.flip(frames, chance=0.0), frames)


@settings(max_examples=20, deadline=None)
@given(least=st.floats(0.1, 0.9), seed=st.integers(0, 2**31))
def test_a_crop_keeps_its_share_of_the_area_and_no_new_place(
    least: float, seed: int
) -> None:
    torch.manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    frames = torch.stack([y, x, x], dim=-1).byte()[None, None]
    found = image_transforms.crop(frames, least=least)[0, 0].int()
    rows, columns = found[:, 0, 0], found[0, :, 1]
    assert (rows.diff() >= 0).all()  # nothing is turned upside down or mirrored
    assert (columns.diff() >= 0).all()
    height, width = (int(r[-1] - r[0]) + 1 for r in (rows, columns))
    # A part wider or higher than the picture is cut to it.
    assert height * width / 224**2 > least * 0.85 - 0.02
    assert 0.7 < height / width < 1.43


@settings(max_examples=20, deadline=None)
@given(factors=st.tuples(*[st.floats(0.7, 1.3)] * 3))
def test_light_and_colours_change_as_torchvision_changes_them(
    factors: tuple[float, float, float],
) -> None:
    frames = drawn(1, 1).float().mul(0.4).add(60).byte()  # far from black and white
    found = image_transforms.recolor(frames, *torch.tensor(factors)[:, None])
    picture = frames[0, 0].permute(2, 0, 1).double() / 255
    for change, factor in zip(
        (
            functional.adjust_brightness,
            functional.adjust_contrast,
            functional.adjust_saturation,
        ),
        factors,
        strict=True,
    ):
        picture = change(picture, factor)
    theirs = picture.permute(1, 2, 0).mul(255)
    assert (found[0, 0] - theirs).abs().max() < 1


def test_factors_of_one_change_nothing() -> None:
    frames = drawn(2, 2)
    assert torch.equal(image_transforms.recolor(frames, *torch.ones(3, 2)), frames)
