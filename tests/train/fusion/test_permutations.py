"""Frame orders that are drawn for all clips at once, compared with NumPy's own."""

import hashlib

import numpy as np
import pytest

from mmder_train.fusion import permutations
from mmder_train.fusion.permutations import draw_permutations


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (1, 0), (7, 3), (2**40, 11)])
def test_orders_equal_those_of_a_generator_per_clip(
    seed: int, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if chunks are small, and if clips need more words than are drawn at once."""
    clip_ids = [f"clip-{i}-\u00e4" for i in range(300)]
    expected = [
        np.random.default_rng(
            list(hashlib.sha256(f"{seed}/{epoch}/{clip_id}".encode()).digest())
        ).permutation(16)
        for clip_id in clip_ids
    ]
    assert np.array_equal(draw_permutations(clip_ids, seed=seed, epoch=epoch), expected)
    monkeypatch.setattr(permutations, "CHUNK", 7)
    monkeypatch.setattr(permutations, "WORDS", 4)
    assert np.array_equal(draw_permutations(clip_ids, seed=seed, epoch=epoch), expected)
