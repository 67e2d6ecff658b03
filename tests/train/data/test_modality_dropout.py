"""Modality dropout: how often, and of which clip, a modality is dropped."""

from collections import Counter

from mmder_train.data.modality_dropout import (
    can_lack,
    draw_dropped,
    drop_alike_in_pairs,
)
from mmder_train.fusion.strategies import STRATEGIES

CLIP_IDS = [f"clip-{i}" for i in range(4000)]


def test_both_modalities_are_dropped_equally_often() -> None:
    """Of 4000 clips, 1600 lack one; the standard deviation of a count is about 27."""
    counts = Counter(draw_dropped(CLIP_IDS, probability=0.4, seed=0, epoch=0))
    assert abs(counts["video"] - 800) < 120
    assert abs(counts["audio"] - 800) < 120


def test_the_ends_of_the_range_drop_nothing_and_always() -> None:
    assert set(draw_dropped(CLIP_IDS, probability=0, seed=0, epoch=0)) == {None}
    drawn = draw_dropped(CLIP_IDS, probability=1, seed=0, epoch=0)
    assert set(drawn) == {"video", "audio"}


def test_a_clip_is_drawn_independent_of_the_others() -> None:
    whole = draw_dropped(CLIP_IDS, probability=0.5, seed=3, epoch=7)
    part = draw_dropped(CLIP_IDS[40:10:-1], probability=0.5, seed=3, epoch=7)
    assert part == whole[40:10:-1]


def test_epochs_and_seeds_draw_differently() -> None:
    drawn = [
        draw_dropped(CLIP_IDS, probability=0.5, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert drawn[0] != drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[1] != drawn[2]


def test_pairs_lack_the_same_modality() -> None:
    dropped = drop_alike_in_pairs(["video", None, "audio", "audio", "video"])
    assert dropped == ["video", None, "audio", None, "video"]


def test_only_joint_strategies_can_lack_a_modality() -> None:
    lacking = {name: can_lack(strategy) for name, strategy in STRATEGIES.items()}
    assert lacking.pop("video") == lacking.pop("audio") == ()
    assert set(lacking.values()) == {("video", "audio")}
    assert can_lack(STRATEGIES["cfas"], ["audio"]) == ("audio",)
