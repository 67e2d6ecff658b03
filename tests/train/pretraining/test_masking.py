"""Masks: counts by hand, tubes, bands, whole modalities, and reproducibility."""

import numpy as np
import pytest
import torch

from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.pretraining.masking import (
    AUDIO,
    VIDEO,
    Kind,
    MaskSettings,
    draw_hidden_kind,
    draw_visible,
    hidden_tokens,
    token_kinds,
)

IDS = ("a", "b", "c")
SIDE = 14
"""Number of tokens along a side, with patches of 16 px."""
SHAPE = (len(IDS), 8, SIDE, SIDE)


def visible_grid(
    name: str,
    *,
    settings: MaskSettings | None = None,
    hidden_kind: Kind | None = None,
    epoch: int = 0,
) -> torch.Tensor:
    """Return a boolean grid (clip, time, row, column) of the visible tokens."""
    visible = draw_visible(
        IDS,
        strategy=STRATEGIES[name],
        patch_px=16,
        settings=settings or MaskSettings(),
        seed=0,
        epoch=epoch,
        hidden_kind=hidden_kind,
    )
    assert (visible.diff(dim=1) > 0).all()
    grid = torch.zeros(len(IDS), 8 * SIDE * SIDE, dtype=torch.bool)
    return grid.scatter_(1, visible, True).view(SHAPE)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # Faces: 196 patches, 10 % are 19.6, so 20 tubes of 4 tokens in time.
        # Spectrograms: 98 pairs of patches, 20 % are 19.6, so 20 pairs, 4 in time.
        ("fslf", 20 * 4 + 2 * 20 * 4),
        ("ffls", 20 * 4 + 2 * 20 * 4),
        # Halves of 98 patches: 10 tubes of 8 tokens; 49 pairs: 10 pairs of 8.
        ("cfas", 10 * 8 + 2 * 10 * 8),
        # 1,568 tokens that show both, 15 % are 235.2.
        ("sfas", 235),
        ("ofos", 235),
        ("rfas", 235),
        ("video", 20 * 8),
        ("audio", 2 * 20 * 8),
    ],
)
def test_number_of_visible_tokens(name: str, count: int) -> None:
    assert visible_grid(name).flatten(1).sum(1).tolist() == [count] * len(IDS)


@pytest.mark.parametrize(
    ("name", "faces", "spectrograms"),
    [
        ("fslf", np.s_[:, 4:], np.s_[:, :4]),
        ("ffls", np.s_[:, :4], np.s_[:, 4:]),
        ("cfas", np.s_[:, :, :7], np.s_[:, :, 7:]),
    ],
)
def test_each_modality_has_its_own_tubes(
    name: str, faces: tuple[slice, ...], spectrograms: tuple[slice, ...]
) -> None:
    grid = visible_grid(name)
    for part, ratio in ((grid[faces], 0.1), (grid[spectrograms], 0.2)):
        assert part.float().mean().item() == pytest.approx(ratio, abs=0.01)
        # Tubes: the same patches at all times.
        assert (part == part[:, :1]).all()
    audio = grid[spectrograms]
    # Overlapping windows: a patch is visible with the one half a window away.
    assert torch.equal(audio[..., :7], audio[..., 7:])
    assert not torch.equal(grid[faces][..., :7], grid[faces][..., 7:])


@pytest.mark.parametrize("name", ["fslf", "cfas"])
@pytest.mark.parametrize(("hidden", "shown"), [("video", AUDIO), ("audio", VIDEO)])
def test_a_hidden_modality_has_no_visible_token(
    name: str, hidden: Kind, shown: int
) -> None:
    strategy = STRATEGIES[name]
    kinds = token_kinds(strategy, 16, torch.arange(16).expand(len(IDS), -1))
    grid = visible_grid(name, hidden_kind=hidden).flatten(1)
    assert grid.any()
    assert (kinds[grid] == shown).all()


def test_bands_of_frequency_and_time() -> None:
    """14 rows, 20 % are 2.8, so 3 rows; 7 pairs of columns, 1.4, so 1 pair."""
    rows = visible_grid("audio", settings=MaskSettings(audio_shape="frequency"))
    assert (rows == rows[:, :1, :, :1]).all()
    assert rows[:, 0, :, 0].sum(1).tolist() == [3] * len(IDS)
    columns = visible_grid("audio", settings=MaskSettings(audio_shape="time"))
    assert (columns == columns[:, :1, :1]).all()
    assert columns[:, 0, 0].sum(1).tolist() == [2] * len(IDS)
    assert torch.equal(columns[..., :7], columns[..., 7:])


def test_the_mask_of_a_clip_does_not_depend_on_its_batch() -> None:
    def draw(clip_ids: tuple[str, ...], seed: int = 0, epoch: int = 0) -> torch.Tensor:
        return draw_visible(
            clip_ids,
            strategy=STRATEGIES["cfas"],
            patch_px=56,
            settings=MaskSettings(video=0.5, audio=0.5),
            seed=seed,
            epoch=epoch,
        )

    both = draw(("x", "y"))
    assert torch.equal(both[1:], draw(("y",)))
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(both, draw(("x", "y"), epoch=1))
    assert not torch.equal(both, draw(("x", "y"), seed=1))


def test_at_least_one_patch_of_each_modality_is_visible() -> None:
    visible = draw_visible(
        ("x",),
        strategy=STRATEGIES["cfas"],
        patch_px=56,
        settings=MaskSettings(video=0.999, audio=0.999),
        seed=0,
        epoch=0,
    )
    # One tube of faces, and one pair of tubes of spectrograms, in 8 times.
    assert visible.shape == (1, 8 + 2 * 8)


def test_hidden_tokens_are_all_others() -> None:
    visible = torch.tensor([[0, 3], [1, 2]])
    assert hidden_tokens(visible, 5).tolist() == [[1, 2, 4], [0, 3, 4]]


def test_kinds_of_tokens() -> None:
    order = torch.arange(16).expand(1, -1)
    for name, expected in {"sfas": [3, 3], "ofos": [1, 2], "video": [1, 1]}.items():
        kinds = token_kinds(STRATEGIES[name], 56, order)
        assert kinds.shape == (1, 128, 2)
        assert (kinds == torch.tensor(expected)).all()
    # RFAS: 8 faces, then 8 spectrograms, in a shuffled order.
    shuffled = torch.tensor([[0, 15, 8, 1, 2, 3, 9, 10, 4, 11, 12, 13, 14, 5, 6, 7]])
    kinds = token_kinds(STRATEGIES["rfas"], 56, shuffled).view(8, 16, 2)
    pairs = [[1, 2], [2, 1], [1, 1], [2, 2], [1, 2], [2, 2], [2, 1], [1, 1]]
    assert kinds[:, 0].tolist() == pairs
    assert (kinds == kinds[:, :1]).all()


def test_a_quarter_of_the_steps_hides_a_modality() -> None:
    def draw(name: str, probability: float) -> list[Kind | None]:
        return [
            draw_hidden_kind(
                STRATEGIES[name], probability=probability, seed=0, epoch=1, step=step
            )
            for step in range(2000)
        ]

    drawn = draw("ofos", 0.25)
    # Binomial: the standard deviation of each number is below 20.
    assert abs(drawn.count("video") - 250) < 80
    assert abs(drawn.count("audio") - 250) < 80
    assert draw("fslf", 0) == [None] * 2000
    assert None not in draw("fslf", 1)
    for name in ("video", "audio"):
        assert draw(name, 1) == [None] * 2000
