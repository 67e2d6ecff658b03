"""Clips are held as far as they fit in memory."""

import numpy as np
import pytest
import torch

from mmder_store import Store
from mmder_train.data import held_clips
from mmder_train.data.held_clips import hold_clips, memory_for_clips
from mmder_train.data.stored_arrays import StoreRows

CPU = torch.device("cpu")


def test_arrays_are_held_in_order_while_they_fit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, rows = StoreRows(store=store), np.array([3, 1, 3])
    size = {n: 2 * store.read(n, 0).nbytes for n in ("frames", "stft_16", "stft_8")}
    names = list(size)
    for limit, expected in (
        (sum(size.values()), names),
        (sum(size.values()) - 1, names[:2]),
        (size["frames"], names[:1]),
        # What does not fit is passed over, and what follows may still fit.
        (size["frames"] - 1, names[1:]),
    ):
        monkeypatch.setattr(held_clips, "HELD_BYTES", limit)
        held = hold_clips(reader, rows=rows, names=names, device=CPU)
        assert held is not None
        assert held.names == set(expected)
        assert held.rows.tolist() == [1, 3]
    monkeypatch.setattr(held_clips, "HELD_BYTES", 10)
    assert hold_clips(reader, rows=rows, names=names, device=CPU) is None
    assert hold_clips(reader, rows=rows, names=(), device=CPU) is None


def test_a_gpu_lends_a_quarter_of_its_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 4000))
    assert memory_for_clips(torch.device("cuda", 1)) == 250
    assert memory_for_clips(CPU) == 1 << 30
