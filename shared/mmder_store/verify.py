"""Verification of a store against the checksums of its ledger."""

from collections.abc import Iterator

from mmder_store import ledger
from mmder_store.schema import arrays_of
from mmder_store.store import Store
from mmder_store.writer import checksum


def verify_store(store: Store) -> Iterator[str]:
    """Read every shard, compare it with the ledger, and yield one line per problem.

    Raises:
        StoreError: If a ledger file is not a valid record.
    """
    for shard in range(store.spec.shards):
        record = ledger.read(store.path, shard)
        if record is None:
            yield f"shard {shard}: no ledger file"
            continue
        rows = store.spec.rows(shard)
        if tuple(c.clip_id for c in record.clips) != store.clip_ids[rows]:
            yield f"shard {shard}: ledger and column clip_id differ"
        for array in arrays_of(store.spec.settings):
            try:
                block = store.read_shard(array.name, shard)
            except Exception as error:  # every codec raises errors of its own
                yield f"shard {shard}, {array.name}: cannot be read ({error})"
                continue
            if checksum(block) != record.checksums.get(array.name):
                yield f"shard {shard}, {array.name}: bytes differ from the ledger"
