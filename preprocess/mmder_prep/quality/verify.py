"""Is a store what its settings say? Bytes against the ledger, times recomputed."""

from collections.abc import Iterator

import numpy as np

from mmder_prep.timeline import EARLY_S, instants, windows
from mmder_store.settings import FRAMES_8, FRAMES_16
from mmder_store.store import Store


def problems(store: Store) -> Iterator[str]:
    """Read everything and yield a line for each thing that is wrong."""
    yield from store.problems()
    for row in range(len(store)):
        if store.columns["status"][row] != "failed":
            for problem in _time_problems(store, row):
                yield f"clip {store.columns['clip_id'][row]}: {problem}"


def _time_problems(store: Store, row: int) -> Iterator[str]:
    """Compare the stored times of a clip with those its settings give."""
    start_s = float(store.columns["start_s"][row])
    step_s = float(store.columns["step_s"][row])
    stated_s = store.spec.settings.step_s
    if stated_s is not None and step_s != stated_s:
        yield f"step {step_s} s, the settings say {stated_s} s"
    wanted_s = instants(start_s, step_s, FRAMES_16)
    for count in (FRAMES_16, FRAMES_8):
        every = FRAMES_16 // count
        want = windows(wanted_s[::every], every * step_s)
        if not np.array_equal(store.read(f"window_{count}_s", row), want):
            yield f"window_{count}_s is not around its instants"
    if "frame_time_s" not in store or store.columns["status"][row] == "no_video":
        return
    times_s = store.read("frame_time_s", row)
    if (np.diff(times_s) < 0).any():
        yield "frame_time_s goes backwards"
    if (times_s[1:] > wanted_s[1:] + EARLY_S).any() and times_s[0] <= start_s:
        yield "a frame was taken before it was on screen"
