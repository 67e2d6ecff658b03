"""A corpus to try the programs with: generated talking heads, RAVDESS names.

Each emotion is a pair of a face state and a voice state, so that neither picture
nor sound tells all of them apart; the states overlap from clip to clip.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2

from mmder_prep.synthetic.appearance import PORTRAIT
from mmder_prep.synthetic.clip import EMOTIONS, Clip, write_clip
from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError

VERSION = 2  # of the generator: raise it when the same seed gives other clips
NOTE = "SAMPLE.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSummary:
    """What a run did: clips in the corpus, newly written, found finished."""

    clips: int
    written: int
    kept: int
    root: Path


def write_sample(
    out: Path,
    *,
    actors: int = 24,
    seed: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> SampleSummary:
    """Write the sample corpus, or what is missing of it.

    Args:
        out: The root of the corpus; a new or empty folder, or one begun before.
        actors: How many actors, 1 to 24.
        seed: Another seed gives other actors and other clips.
        workers: Processes; 1 stays in this one. The bytes are the same.
        progress: Called with the clips done so far and all clips.

    Returns:
        What was done.

    Raises:
        SettingsError: If `out` holds something else, or another sample.
    """
    if not 1 <= actors <= 24 or seed < 0 or workers < 1:
        msg = (
            f"sample: found actors={actors}, seed={seed}, workers={workers}; "
            "expected 1 to 24 actors, a seed from 0, at least 1 worker; "
            "choose values in these ranges"
        )
        raise SettingsError(msg)
    _claim(out, note=_note(actors=actors, seed=seed))
    clips = [
        Clip(seed=seed, actor=actor, emotion=emotion)
        for actor in range(1, actors + 1)
        for emotion in EMOTIONS
    ]
    missing = [clip for clip in clips if not (out / clip.path).exists()]
    kept = len(clips) - len(missing)
    for done, _ in enumerate(_written(out, missing, workers=workers), start=kept + 1):
        if progress is not None:
            progress(done, len(clips))
    return SampleSummary(clips=len(clips), written=len(missing), kept=kept, root=out)


def _written(out: Path, clips: list[Clip], *, workers: int) -> Iterator[None]:
    """Write clips, in any order; yield after each."""
    if workers == 1 or len(clips) < 2:
        for clip in clips:
            write_clip(out, clip)
            yield
        return
    pool = ProcessPoolExecutor(
        min(workers, len(clips)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=cv2.setNumThreads,
        initargs=(1,),  # a worker is one core's worth
    )
    # Ctrl-C reaches the whole group. The workers start in here and inherit the mask:
    # the clips in hand are finished, the rest dropped.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        futures = [pool.submit(write_clip, out, clip) for clip in clips]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for future in as_completed(futures):
            future.result()
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        pool.shutdown(cancel_futures=True)


def _note(*, actors: int, seed: int) -> str:
    """Return what SAMPLE.txt says about the corpus beside it."""
    return (
        "These clips are generated. Nobody speaks, and nobody feels anything.\n"
        f"portrait: {PORTRAIT}\n"
        f"actors: {actors}\n"
        f"seed: {seed}\n"
        f"generator version: {VERSION}\n"
    )


def _claim(out: Path, *, note: str) -> None:
    """Make `out` the folder of this sample, or refuse it."""
    path = out / NOTE
    way_out = "choose another --out, or delete the folder"
    if path.is_file():
        found = path.read_text(encoding="utf-8")
        if found != note:
            msg = f"{path}: found {_facts(found)}; expected {_facts(note)}; {way_out}"
            raise SettingsError(msg)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = (
            f"{out}: found other files and no {NOTE}; "
            f"expected a new folder, or a sample begun before; {way_out}"
        )
        raise SettingsError(msg)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(note, encoding="utf-8")


def _facts(note: str) -> str:
    """Return the settings a note speaks of, on one line."""
    return ", ".join(note.splitlines()[2:]) or "an empty note"
