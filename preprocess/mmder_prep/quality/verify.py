"""Check of a store: bytes against the ledger, times against the settings."""

from collections.abc import Iterator

import numpy as np

from mmder_prep.timeline import EARLY_S, instants, windows
from mmder_store.settings import FRAMES_8, FRAMES_16
from mmder_store.store import Store
from mmder_store.verify import Problem, verify_store


def problems(store: Store) -> Iterator[Problem]:
    """Read the whole store and yield one entry per problem."""
    damaged = set()
    for found in verify_store(store):
        damaged.add(found.shard)
        yield found
    for row in range(len(store)):
        shard = row // store.spec.shard_clips
        if store.columns["status"][row] != "failed" and shard not in damaged:
            for text in _time_problems(store, row):
                yield Problem(text=f"clip {store.clip_ids[row]}: {text}", shard=shard)


def _time_problems(store: Store, row: int) -> Iterator[str]:
    """Compare the stored times of a clip with those computed from the settings."""
    start_s = float(store.columns["start_s"][row])
    step_s = float(store.columns["step_s"][row])
    expected_step_s = store.spec.settings.step_s
    if expected_step_s is not None and step_s != expected_step_s:
        yield f"step {step_s} s, the settings have {expected_step_s} s"
    target_s = instants(start_s, step_s, FRAMES_16)
    for count in (FRAMES_16, FRAMES_8):
        every = FRAMES_16 // count
        expected = windows(target_s[::every], every * step_s)
        if not np.array_equal(store.read(f"window_{count}_s", row), expected):
            yield f"window_{count}_s is not centered on the instants"
    if "frame_time_s" not in store or store.columns["status"][row] == "no_video":
        return
    times_s = store.read("frame_time_s", row)
    if (np.diff(times_s) < 0).any():
        yield "frame_time_s decreases"
    if (times_s[1:] > target_s[1:] + EARLY_S).any() and times_s[0] <= start_s:
        yield "a frame was taken before it was on screen"
