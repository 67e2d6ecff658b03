"""Occlusion maps show exactly those parts of the input that the model uses."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.inference.occlusion import BLOCKS, cells, compute_occlusion_map

SETTINGS = RenderSettings(
    spectrogram="stft", colormap="viridis", spectrogram_norm="window"
)
PERMUTATION = frame_permutations(["c"], seed=0)
LARGE_BLOCK = (8, 112, 112)
"""Eight blocks, for tests that do not depend on their size."""
AUDIOVISUAL = [name for name, s in STRATEGIES.items() if s.frames and s.windows]


def random_clip(name: str, *, seed: int = 0) -> dict[str, Tensor]:
    """Return random arrays in the format of a store."""
    strategy, generator = STRATEGIES[name], torch.Generator().manual_seed(seed)
    arrays = {}
    if strategy.frames:
        shape = (1, strategy.frames, 224, 224, 3)
        arrays["frames"] = torch.randint(256, shape, generator=generator).byte()
    if strategy.windows:
        noise = torch.randn((1, strategy.windows, 257, 41), generator=generator)
        arrays["audio"] = (noise * 20 - 40).half()
    return arrays


def model_of(*cell: slice) -> Callable[[Tensor], Tensor]:
    """Return one model of two classes that uses only one part of its input."""

    def probabilities(x: Tensor) -> Tensor:
        part = x[(slice(None), slice(None), *cell)][..., ::7, ::7]
        energy = part.square().mean((1, 2, 3, 4))
        both = torch.stack([energy, torch.zeros_like(energy)], 1)
        return both.double().softmax(1)[None]

    return probabilities


def model_of_everything() -> Callable[[Tensor], Tensor]:
    return model_of(slice(None), slice(None), slice(None))


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_only_the_part_that_the_model_uses_is_important(name: str) -> None:
    """It is one block of the input, whatever the strategy shows there."""
    cell = (slice(4, 8), slice(56, 112), slice(112, 168))
    occlusion_map = compute_occlusion_map(
        random_clip(name),
        PERMUTATION,
        model_of(*cell),
        strategy=STRATEGIES[name],
        settings=SETTINGS,
    )
    assert occlusion_map.best == 0
    for drop in occlusion_map.importance.values():
        inside = torch.zeros_like(drop, dtype=torch.bool)
        inside[cell] = True
        shown = drop.isfinite()
        assert (drop[shown & ~inside] == 0).all()
        assert (drop[shown & inside] > 0).all()
    assert any(
        drop[cell].isfinite().any() for drop in occlusion_map.importance.values()
    )
    assert sum(occlusion_map.contribution.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", AUDIOVISUAL)
def test_silence_contributes_nothing(name: str) -> None:
    """The mean color of silence is the color of silence, so hiding it has no effect."""
    clip = random_clip(name)
    clip["audio"] = torch.full_like(clip["audio"], -40)
    occlusion_map = compute_occlusion_map(
        clip,
        PERMUTATION,
        model_of_everything(),
        strategy=STRATEGIES[name],
        settings=SETTINGS,
        block=LARGE_BLOCK,
    )
    assert occlusion_map.contribution["video"] == pytest.approx(1)
    assert occlusion_map.contribution["audio"] == pytest.approx(0, abs=1e-9)
    probability = occlusion_map.probability[0]
    assert occlusion_map.ablated["audio"] == pytest.approx(probability)
    assert occlusion_map.ablated["video"] < probability


@pytest.mark.parametrize("name", AUDIOVISUAL)
def test_only_sfas_shows_video_and_audio_at_one_position(name: str) -> None:
    occlusion_map = compute_occlusion_map(
        random_clip(name),
        PERMUTATION,
        model_of_everything(),
        strategy=STRATEGIES[name],
        settings=SETTINGS,
        block=LARGE_BLOCK,
    )
    maps = occlusion_map.importance.values()
    kinds = torch.stack([drop.isfinite() for drop in maps]).sum(0)
    assert (kinds == (2 if name == "sfas" else 1)).all()


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if s.frames])
def test_source_frame_is_the_index_of_the_shown_frame(name: str) -> None:
    """Frame k has the color 10 k, and the audio is silent."""
    strategy, clip = STRATEGIES[name], random_clip(name)
    numbers = torch.arange(strategy.frames).byte()
    clip["frames"] = (10 * numbers).view(1, -1, 1, 1, 1).expand(-1, -1, 224, 224, 3)
    occlusion_map = compute_occlusion_map(
        clip,
        PERMUTATION,
        model_of_everything(),
        strategy=strategy,
        settings=SETTINGS,
        block=LARGE_BLOCK,
    )
    source_frames = occlusion_map.source_frame["video"].tolist()
    if name == "sfas":  # its input image is the mean of video and audio
        assert source_frames == list(range(16))
        return
    colors = occlusion_map.input_image[:, 10, 10].tolist()
    for color, source_frame in zip(colors, source_frames, strict=True):
        assert source_frame < 0 or color == [10 * source_frame] * 3
    assert sorted(k for k in source_frames if k >= 0) == list(range(strategy.frames))


def test_input_image_equals_the_stored_frames() -> None:
    clip, model = random_clip("video"), model_of_everything()
    occlusion_map = compute_occlusion_map(
        clip,
        PERMUTATION,
        model,
        strategy=STRATEGIES["video"],
        settings=SETTINGS,
        block=LARGE_BLOCK,
    )
    assert (occlusion_map.input_image == clip["frames"][0]).all()
    unchanged = fuse(
        clip["frames"],
        None,
        PERMUTATION,
        strategy=STRATEGIES["video"],
        settings=SETTINGS,
    )
    assert occlusion_map.probability == tuple(model(unchanged)[0, 0].tolist())


@pytest.mark.parametrize("block", BLOCKS.values())
def test_blocks_cover_the_input_once(block: tuple[int, int, int]) -> None:
    """The edge between the two halves of CFAS is also an edge between blocks."""
    covered = torch.zeros(16, 224, 224, dtype=torch.int)
    for cell in cells(block, torch.ones(16, 224, 224, dtype=torch.bool)):
        covered[cell] += 1
    assert (covered == 1).all()
    upper = torch.zeros(16, 224, 224, dtype=torch.bool)
    upper[:, :112] = True
    assert all(upper[cell].all() for cell in cells(block, upper))
