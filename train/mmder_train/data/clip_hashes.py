"""Hashes of stored clips, to recognize a clip in another store.

They are made from columns and checksums, so no array is read.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from mmder_store import Store

HASH_CHARS = 16
"""Length of a hash: 64 bits in hexadecimal digits."""
NO_AUDIO = frozenset(("no_audio", "failed"))
NO_VIDEO = frozenset(("no_face", "no_video", "failed"))


def clip_hashes(store: Store, rows: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the hashes of clips: of their file, of their audio and of their frames.

    Two clips are the same recording if they share a hash. The hash of the file covers
    the media file and the time of the first frame. The other hashes cover the stored
    arrays, so that equal media in another file are recognized if both were prepared
    with the same settings. Silent audio and missing frames have no hash.

    Args:
        store: A sealed store.
        rows: Rows of the clips.
    """
    columns = store.columns
    audio = [n for n in store.arrays if n.startswith(("stft_", "mfcc_"))]
    video = [n for n in store.arrays if n in ("frames", "face_box_px")]
    return [
        tuple(
            _hash(kind, *parts)
            for kind, parts in (
                (
                    "file",
                    _file_parts(store, row)
                    if columns["status"][row] != "failed"
                    else None,
                ),
                (
                    "audio",
                    _checksums(store, row, audio)
                    if columns["status"][row] not in NO_AUDIO
                    and not columns["silence"][row] >= 1
                    else None,
                ),
                (
                    "frames",
                    _checksums(store, row, video)
                    if video and columns["status"][row] not in NO_VIDEO
                    else None,
                ),
            )
            if parts is not None
        )
        for row in rows
    ]


def _file_parts(store: Store, row: int) -> list[object] | None:
    """Return the hashes of the files of a clip and its start in milliseconds."""
    columns = store.columns
    media = str(columns["source_sha256"][row])
    if not media:
        return None
    start_s = float(columns["start_s"][row])
    start_ms = -1 if np.isnan(start_s) else round(1000 * start_s)
    return [media, str(columns["sound_sha256"][row]), start_ms]


def _checksums(store: Store, row: int, names: Sequence[str]) -> list[object]:
    """Return the checksums of some arrays of a clip."""
    return [
        *names,
        *(int(store.checksums[row, store.arrays.index(name)]) for name in names),
    ]


def _hash(*parts: object) -> str:
    text = "/".join(map(str, parts))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARS]
