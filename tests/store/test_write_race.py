"""Two workers that write the same shards at once: no error, and the same bytes.

A scheduler gives a shard to a second worker if it lost the first one, which may live.
"""

import multiprocessing
from pathlib import Path
from typing import Any

from mmder_store import PrepSettings, Store, ledger
from mmder_store.atomic_files import DRAFTS, ZARR_DRAFTS
from mmder_store.verify import verify_store
from mmder_store.writer import create, seal
from shard_writing import make_spec, manifest_rows, write_shards

SHARDS = 200
SETTINGS = PrepSettings(
    modality="audio",
    sample_rate_hz=2000,
    fft_samples=32,
    fft_window_samples=32,
    hop_samples=32,
    mels=8,
    mfccs=4,
)


def write_all(path: Path, barrier: Any) -> None:
    spec = make_spec(2 * SHARDS, SETTINGS)
    barrier.wait()
    write_shards(path, spec, list(range(SHARDS)))


def test_two_writers_of_the_same_shards(tmp_path: Path) -> None:
    spec = make_spec(2 * SHARDS, SETTINGS)
    race = tmp_path / "race"
    create(race, spec)
    context: Any = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    writers = [
        context.Process(target=write_all, args=(race, barrier)) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(250)
    assert [writer.exitcode for writer in writers] == [0, 0]
    seal(race, manifest_rows(2 * SHARDS), {})
    store = Store(race)
    assert list(verify_store(store)) == []
    for clip in range(2 * SHARDS):
        assert (store.read("mfcc_16", clip) == clip // 2 + 1).all()
    assert not [*race.rglob(ZARR_DRAFTS), *race.rglob(DRAFTS)]
    assert all(ledger.exists(race, shard) for shard in range(SHARDS))
