"""Synthetic corpus of talking heads with the file names of RAVDESS, for trying mmder.

Each emotion is a pair of a face state and a voice state, so that neither video nor
audio is enough to distinguish all of them. The states of different clips overlap.
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

VERSION = 2  # of the generator: increment it if equal seeds yield other clips
NOTE = "SAMPLE.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSummary:
    """Result of writing a corpus."""

    clips: int
    """Number of clips in the corpus."""
    written: int
    """Number of clips that this run wrote."""
    kept: int
    """Number of clips that existed before."""
    root: Path
    """Folder of the corpus."""


def write_sample(
    out: Path,
    *,
    actors: int = 24,
    seed: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> SampleSummary:
    """Write the synthetic corpus, or its missing clips.

    Args:
        out: Root of the corpus: a new or empty folder, or an unfinished corpus.
        actors: Number of actors, 1 to 24.
        seed: Seed of the actors and the clips.
        workers: Number of processes; with 1, no process is started. The bytes do not
            depend on it.
        progress: Function that is called with the number of clips done and in total.

    Returns:
        The numbers of clips.

    Raises:
        SettingsError: If `out` has other files or a corpus with other settings.
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
    for done, _ in enumerate(
        _write_clips(out, missing, workers=workers), start=kept + 1
    ):
        if progress is not None:
            progress(done, len(clips))
    return SampleSummary(clips=len(clips), written=len(missing), kept=kept, root=out)


def _write_clips(out: Path, clips: list[Clip], *, workers: int) -> Iterator[None]:
    """Write clips in any order, and yield after each one."""
    if workers == 1 or len(clips) < 2:
        for clip in clips:
            write_clip(out, clip)
            yield
        return
    pool = ProcessPoolExecutor(
        min(workers, len(clips)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=cv2.setNumThreads,
        initargs=(1,),  # one thread per worker
    )
    # Ctrl-C reaches all processes of the group. The workers start while the signal is
    # blocked and inherit the mask, so they finish their clips; the others are canceled.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        futures = [pool.submit(write_clip, out, clip) for clip in clips]
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for future in as_completed(futures):
            future.result()
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        pool.shutdown(cancel_futures=True)


def _note(*, actors: int, seed: int) -> str:
    """Return the text of SAMPLE.txt, which describes the corpus in its folder."""
    return (
        "These clips are generated. Nobody speaks, and nobody feels anything.\n"
        f"portrait: {PORTRAIT}\n"
        f"actors: {actors}\n"
        f"seed: {seed}\n"
        f"generator version: {VERSION}\n"
    )


def _claim(out: Path, *, note: str) -> None:
    """Reserve `out` for this corpus, or raise an error if it is in use."""
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
            f"expected a new folder, or an unfinished sample; {way_out}"
        )
        raise SettingsError(msg)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(note, encoding="utf-8")


def _facts(note: str) -> str:
    """Return the settings in a note, on one line."""
    return ", ".join(note.splitlines()[2:]) or "an empty note"
