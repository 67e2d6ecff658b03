"""Face transforms change all frames of a clip alike, and only as documented."""

import math
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


def crop_one_by_one(frames: torch.Tensor, min_area: float) -> torch.Tensor:
    """Crop as mmder did before a GPU took all clips at once."""
    out = torch.empty_like(frames)
    drawn = torch.rand(len(frames), 4).tolist()
    for target, clip, (area, aspect, down, right) in zip(
        out, frames, drawn, strict=True
    ):
        side = 224 * math.sqrt(min_area + (1 - min_area) * area)
        stretch = (4 / 3) ** (aspect - 0.5)
        height, width = min(224, round(side / stretch)), min(224, round(side * stretch))
        cropped = functional.resized_crop(
            clip.permute(0, 3, 1, 2),
            round(down * (224 - height)),
            round(right * (224 - width)),
            height,
            width,
            [224, 224],
        )
        target.copy_(cropped.permute(0, 2, 3, 1))
    return out


@pytest.mark.parametrize("at_once", [False, True])
def test_crops_of_a_batch_are_those_of_its_clips(
    monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    if at_once:  # as on a GPU
        monkeypatch.setattr(
            image_transforms, "resize_boxes_one_by_one", image_transforms.resize_boxes
        )
    frames = torch.randint(0, 256, (5, 2, 224, 224, 3), dtype=torch.uint8)
    torch.manual_seed(3)
    expected = crop_one_by_one(frames, 0.2)
    torch.manual_seed(3)
    found = image_transforms.crop(frames, min_area=0.2)
    assert (found.int() - expected.int()).abs().max() <= (1 if at_once else 0)


def test_colors_of_a_batch_are_those_of_its_clips() -> None:
    frames = torch.randint(0, 256, (5, 2, 224, 224, 3), dtype=torch.uint8)
    factors = torch.rand(3, 5) * 0.4 + 0.8
    together = image_transforms.recolor(frames, *factors)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(image_transforms, "_chunks", lambda _: [slice(0, 5)])
        at_once = image_transforms.recolor(frames, *factors)
    assert (together.int() - at_once.int()).abs().max() <= 1
    for clip in range(5):
        part = slice(clip, clip + 1)
        single = image_transforms.recolor(frames[part], *factors[:, part])
        assert torch.equal(single, together[part])


def test_erased_boxes_are_the_same_in_all_frames_and_of_the_published_size() -> None:
    """VideoMAE's random_erasing.py: 2 % to a third of the area, aspect 0.3 to 3.3."""
    frames = torch.zeros(200, 2, 224, 224, 3, dtype=torch.uint8)
    torch.manual_seed(0)
    erased = image_transforms.erase(frames, probability=0.25)
    changed = (erased != 0).any(-1)
    boxes = changed.any(1)
    chosen = boxes.flatten(1).any(1)
    assert 30 <= chosen.sum() <= 70
    for clip, box in zip(changed[chosen], boxes[chosen], strict=True):
        rows, columns = box.any(1).nonzero().flatten(), box.any(0).nonzero().flatten()
        height, width = (int(r[-1] - r[0]) + 1 for r in (rows, columns))
        assert 0.018 < height * width / 224**2 < 0.35
        assert 0.28 < height / width < 3.6
        # Noise may be 0 by chance, but not often, and each frame has its own.
        assert clip.float().mean((1, 2)).min() > 0.85 * height * width / 224**2
    values = erased[boxes.unsqueeze(1).expand(-1, 2, -1, -1)].float()
    mean = 255 * torch.tensor([0.485, 0.456, 0.406])
    torch.testing.assert_close(values.mean(0), mean, atol=3, rtol=0)
    assert (erased[:, 0] != erased[:, 1])[chosen].any()
    assert torch.equal(image_transforms.erase(frames, probability=0.0), frames)


def test_factors_of_one_change_nothing() -> None:
    frames = smooth_frames(2, 2)
    assert torch.equal(image_transforms.recolor(frames, *torch.ones(3, 2)), frames)
