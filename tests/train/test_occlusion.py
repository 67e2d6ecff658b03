"""Hiding parts of picture and sound finds what a model looks at, and nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.inference.occlusion import BLOCKS, cells, compute_occlusion_map

LOOK = RenderSettings(spectrogram="stft", colormap="viridis", spectrogram_norm="window")
PLACES = frame_permutations(["c"], seed=0)
BIG = (8, 112, 112)
"""Eight blocks: enough where it does not matter which."""
JOINT = [name for name, s in STRATEGIES.items() if s.frames and s.windows]


def clip_of(name: str, *, seed: int = 0) -> dict[str, Tensor]:
    """Give noise, as a store would hold it."""
    strategy, draw = STRATEGIES[name], torch.Generator().manual_seed(seed)
    found = {}
    if strategy.frames:
        shape = (1, strategy.frames, 224, 224, 3)
        found["frames"] = torch.randint(256, shape, generator=draw).byte()
    if strategy.windows:
        sound = torch.randn((1, strategy.windows, 257, 41), generator=draw) * 20 - 40
        found["sound"] = sound.half()
    return found


def looks_at(*cell: slice) -> Callable[[Tensor], Tensor]:
    """Make a model of two classes that sees one part of its input."""

    def probabilities(x: Tensor) -> Tensor:
        part = x[(slice(None), slice(None), *cell)][..., ::7, ::7]
        seen = part.square().mean((1, 2, 3, 4))
        return torch.stack([seen, torch.zeros_like(seen)], 1).double().softmax(1)

    return probabilities


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_only_what_the_model_looks_at_matters(name: str) -> None:
    """A block of the input, whatever the strategy puts there."""
    cell = (slice(4, 8), slice(56, 112), slice(112, 168))
    found = compute_occlusion_map(
        clip_of(name), PLACES, looks_at(*cell), strategy=STRATEGIES[name], look=LOOK
    )
    assert found.best == 0
    for drop in found.importance.values():
        inside = torch.zeros_like(drop, dtype=torch.bool)
        inside[cell] = True
        there = drop.isfinite()
        assert (drop[there & ~inside] == 0).all()
        assert (drop[there & inside] > 0).all()
    assert any(drop[cell].isfinite().any() for drop in found.importance.values())
    assert sum(found.contribution.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", JOINT)
def test_what_is_flat_has_no_share(name: str) -> None:
    """Silence is its own mean colour: all the effect lies on the picture."""
    clip = clip_of(name)
    clip["sound"] = torch.full_like(clip["sound"], -40)
    found = compute_occlusion_map(
        clip,
        PLACES,
        looks_at(slice(None), slice(None), slice(None)),
        strategy=STRATEGIES[name],
        look=LOOK,
        block=BIG,
    )
    assert found.contribution["picture"] == pytest.approx(1)
    assert found.contribution["sound"] == pytest.approx(0, abs=1e-9)
    assert found.ablated["sound"] == pytest.approx(found.probability[0])
    assert found.ablated["picture"] < found.probability[0]


@pytest.mark.parametrize("name", JOINT)
def test_each_place_is_of_one_kind_but_where_they_are_added(name: str) -> None:
    model = looks_at(slice(None), slice(None), slice(None))
    found = compute_occlusion_map(
        clip_of(name), PLACES, model, strategy=STRATEGIES[name], look=LOOK, block=BIG
    )
    kinds = torch.stack([drop.isfinite() for drop in found.importance.values()]).sum(0)
    assert (kinds == (2 if name == "sfas" else 1)).all()


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if s.frames])
def test_places_tell_which_picture_is_shown(name: str) -> None:
    """Frame k is of colour 10 k, and the sound is silent."""
    strategy, clip = STRATEGIES[name], clip_of(name)
    numbers = torch.arange(strategy.frames).byte()
    clip["frames"] = (10 * numbers).view(1, -1, 1, 1, 1).expand(-1, -1, 224, 224, 3)
    model = looks_at(slice(None), slice(None), slice(None))
    found = compute_occlusion_map(
        clip, PLACES, model, strategy=strategy, look=LOOK, block=BIG
    )
    if name == "sfas":  # shown is the mean of picture and sound
        assert found.source_frame["picture"].tolist() == list(range(16))
        return
    shown = found.input_image[:, 10, 10].tolist()
    for colour, place in zip(
        shown, found.source_frame["picture"].tolist(), strict=True
    ):
        assert place < 0 or colour == [10 * place] * 3
    assert sorted(p for p in found.source_frame["picture"].tolist() if p >= 0) == list(
        range(strategy.frames)
    )


def test_the_picture_shown_is_what_was_stored() -> None:
    clip = clip_of("video")
    model = looks_at(slice(None), slice(None), slice(None))
    found = compute_occlusion_map(
        clip, PLACES, model, strategy=STRATEGIES["video"], look=LOOK, block=BIG
    )
    assert (found.input_image == clip["frames"][0]).all()
    with_nothing_hidden = fuse(
        clip["frames"], None, PLACES, strategy=STRATEGIES["video"], look=LOOK
    )
    assert found.probability == tuple(model(with_nothing_hidden)[0].tolist())


@pytest.mark.parametrize("block", BLOCKS.values())
def test_blocks_cover_the_input_once(block: tuple[int, int, int]) -> None:
    """Also those of CFAS, whose two halves meet on an edge between two blocks."""
    seen = torch.zeros(16, 224, 224, dtype=torch.int)
    for cell in cells(block, torch.ones(16, 224, 224, dtype=torch.bool)):
        seen[cell] += 1
    assert (seen == 1).all()
    upper = torch.zeros(16, 224, 224, dtype=torch.bool)
    upper[:, :112] = True
    assert all(upper[cell].all() for cell in cells(block, upper))
