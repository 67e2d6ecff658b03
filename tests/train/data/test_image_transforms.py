"""Face transforms change all frames of a clip alike, and only as documented."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from mmder_train.data import image_transforms

TRANSFORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "flip": lambda f: image_transforms.flip(f, probability=0.5),
    "crop": lambda f: image_transforms.crop(f, min_area=0.5),
    "jitter": lambda f: image_transforms.jitter(f, strength=0.4),
}
EACH_TRANSFORM = pytest.mark.parametrize("name", TRANSFORMS)


def smooth_frames(clips: int, frames: int, seed: int = 0) -> torch.Tensor:
    """Draw images that are smooth enough to be distinguished after a crop."""
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


def seeded_transform(name: str, frames: torch.Tensor, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return TRANSFORMS[name](frames)


@EACH_TRANSFORM
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(3)))
def test_all_frames_of_a_clip_change_alike(
    name: str, seed: int, order: list[int]
) -> None:
    frames = smooth_frames(2, 3)
    changed = seeded_transform(name, frames, seed)
    assert changed.dtype == torch.uint8
    assert torch.equal(
        seeded_transform(name, frames[:, order], seed), changed[:, order]
    )
    assert torch.equal(seeded_transform(name, frames, seed), changed)


@EACH_TRANSFORM
def test_clips_change_differently_and_in_a_copy(name: str) -> None:
    same = smooth_frames(1, 1).expand(6, -1, -1, -1, -1).contiguous()
    before = same.clone()
    changed = seeded_transform(name, same, 1)
    assert torch.equal(same, before)
    assert len({tuple(clip.flatten().tolist()) for clip in changed}) > 1


def test_flip_mirrors_some_clips() -> None:
    frames = smooth_frames(1, 2).expand(64, -1, -1, -1, -1)
    torch.manual_seed(0)
    changed = image_transforms.flip(frames, probability=0.5)
    mirrored = [torch.equal(clip, frames[0].flip(2)) for clip in changed]
    kept = [torch.equal(clip, frames[0]) for clip in changed]
    assert sum(mirrored) + sum(kept) == 64
    assert 16 < sum(mirrored) < 48
    assert torch.equal(image_transforms.flip(frames, probability=1.0), frames.flip(3))
    assert torch.equal(image_transforms.flip(frames, probability=0.0), frames)


@settings(max_examples=20, deadline=None)
@given(min_area=st.floats(0.1, 0.9), seed=st.integers(0, 2**31))
def test_crop_keeps_the_minimum_area_and_the_order_of_pixels(
    min_area: float, seed: int
) -> None:
    torch.manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    frames = torch.stack([y, x, x], dim=-1).byte()[None, None]
    cropped = image_transforms.crop(frames, min_area=min_area)[0, 0].int()
    rows, columns = cropped[:, 0, 0], cropped[0, :, 1]
    assert (rows.diff() >= 0).all()  # no axis is mirrored
    assert (columns.diff() >= 0).all()
    height, width = (int(r[-1] - r[0]) + 1 for r in (rows, columns))
    # A crop wider or higher than the image is clipped to it.
    assert height * width / 224**2 > min_area * 0.85 - 0.02
    assert 0.7 < height / width < 1.43


@settings(max_examples=20, deadline=None)
@given(factors=st.tuples(*[st.floats(0.7, 1.3)] * 3))
def test_recolor_matches_torchvision(factors: tuple[float, float, float]) -> None:
    frames = smooth_frames(1, 1).float().mul(0.4).add(60).byte()  # nothing saturates
    recolored = image_transforms.recolor(frames, *torch.tensor(factors)[:, None])
    image = frames[0, 0].permute(2, 0, 1).double() / 255
    for adjust, factor in zip(
        (
            functional.adjust_brightness,
            functional.adjust_contrast,
            functional.adjust_saturation,
        ),
        factors,
        strict=True,
    ):
        image = adjust(image, factor)
    expected = image.permute(1, 2, 0).mul(255)
    assert (recolored[0, 0] - expected).abs().max() < 1


def test_factors_of_one_change_nothing() -> None:
    frames = smooth_frames(2, 2)
    assert torch.equal(image_transforms.recolor(frames, *torch.ones(3, 2)), frames)
