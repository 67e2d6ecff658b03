"""Software and device that prepared the finished shards of a store.

A store has the bytes of one version of the software and of one kind of device.
"""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from mmder_prep.pipeline.fingerprint import (
    DEVICE_KINDS,
    compute_fingerprint,
    fingerprint_digest,
)
from mmder_store import ledger
from mmder_store.errors import StoreError
from mmder_store.ledger import ShardRecord


def refuse_other_device(
    out: Path, records: Mapping[int, ShardRecord | None], kind: str
) -> None:
    """Check that this software detected no faces of the store on another device.

    Such shards are not prepared again without a question: they may have taken days.

    Args:
        out: Folder of the store.
        records: Record of each shard; None if it is not finished.
        kind: Kind of device of this run.

    Raises:
        StoreError: If it did, with the number of shards and the ways out.
    """
    for other in DEVICE_KINDS:
        if other == kind:
            continue
        digest = fingerprint_digest(compute_fingerprint(other))
        shards = sum(
            r is not None and r.fingerprint == digest for r in records.values()
        )
        if shards:
            msg = (
                f"store {out}: faces of {shards} of {len(records)} shards were "
                f"detected with --device {other}, and this run uses {kind}, whose "
                f"boxes may differ. Use --device {other}, another --out, or "
                "--overwrite to prepare all shards again."
            )
            raise StoreError(msg)


def drop_other_software(
    out: Path,
    records: Mapping[int, ShardRecord | None],
    fingerprint: tuple[tuple[str, str], ...],
    console: Console,
) -> None:
    """Drop the records of shards that other versions of the software prepared.

    Their bytes may differ, and a store has the bytes of one version only.
    """
    expected = fingerprint_digest(fingerprint)
    other = [s for s, r in records.items() if r and r.fingerprint != expected]
    for shard in other:
        ledger.drop(out, shard)
    if other:
        console.print(
            f"{len(other)} of {len(records)} shards were prepared by another version "
            "of mmder or its packages, and are prepared again",
            highlight=False,
            markup=False,
        )
