"""RAVDESS: 24 actors, two sentences, eight emotions, two intensities.

The Ryerson Audio-Visual Database of Emotional Speech and Song, Zenodo record 1188976,
CC BY-NC-SA 4.0. Speech: 60 takes an actor, 1,440 in all (neutral 96, others 192).

As shipped: ``Video_Speech_Actor_01.zip`` to ``_24.zip`` and
``Audio_Speech_Actors_01-24.zip``, each of ``Actor_XX/`` folders, with files named
``modality-channel-emotion-intensity-statement-repetition-actor``:

    modality  01 picture and sound, 02 the same picture mute, 03 the same sound alone
    channel   01 speech, 02 song
    emotion   01 neutral .. 08 surprised
    actor     01 to 24, odd is male

The video archives hold every take twice, with sound (01) and mute (02): only one of
the three forms of a take may be in a store, or a speaker's take is counted again.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mmder_prep.manifest import Manifest, ManifestRow
from mmder_store.emotions import LABEL_SETS, PROTOCOLS
from mmder_store.errors import ManifestError

ROOT = Path("data/ravdess")
TAKES = 1440
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
MODALITY = {"av": "01", "audio": "03"}
NAME = re.compile(
    r"(?P<modality>0[123])-(?P<channel>0[12])-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]"
    r"-(?P<actor>0[1-9]|1\d|2[0-4])\.(mp4|wav|flac)",
    re.IGNORECASE,
)


def find(root: Path, *, modality: str) -> Manifest:
    """List the speech takes under a folder, unpacked or still in their archives.

    Raises:
        ManifestError: If there is none, with where it looked and what is there.
    """
    want = MODALITY[modality]
    found: dict[str, ManifestRow] = {}
    others = twice = 0
    for path in _files(root):
        name = path.rsplit("/", 1)[-1]
        match = NAME.fullmatch(name)
        if match is None:
            continue
        if (match["modality"], match["channel"]) != (want, "01"):
            others += 1
            continue
        clip_id = name.rsplit(".", 1)[0]
        if clip_id in found:
            twice += 1
            continue
        found[clip_id] = ManifestRow(
            clip_id=clip_id,
            path=path,
            emotion=EMOTIONS[match["emotion"]],
            speaker=match["actor"],
        )
    if not found:
        raise ManifestError(_nothing(root, want, others))
    rows = sorted(found.values(), key=lambda row: (row.speaker, row.clip_id))
    notes = [f"{len(rows)} of {TAKES} takes of RAVDESS found in {root}"]
    if twice:
        notes.append(f"{twice} takes are there twice; the first found is taken")
    return Manifest(
        corpus="ravdess",
        root=root,
        rows=tuple(rows),
        label_sets=(LABEL_SETS["ravdess-7"], LABEL_SETS["ravdess-8"]),
        protocols=(PROTOCOLS["ravdess-contiguous-6"],),
        notes=tuple(notes),
    )


def _files(root: Path) -> Iterator[str]:
    """Yield files relative to the root, unpacked ones first, then those in archives."""
    inside = sorted(p for p in root.rglob("*") if not p.name.startswith("."))
    for path in inside:
        if path.suffix.lower() != ".zip":
            yield path.relative_to(root).as_posix()
    for path in inside:
        if path.suffix.lower() == ".zip" and path.is_file():
            try:
                with zipfile.ZipFile(path) as archive:
                    names = sorted(archive.namelist())
            except (OSError, zipfile.BadZipFile) as error:
                msg = (
                    f"RAVDESS archive {path.name}: cannot be read ({error}); "
                    "download it again, or move it away"
                )
                raise ManifestError(msg) from error
            for name in names:
                if not name.rsplit("/", 1)[-1].startswith("."):
                    yield f"{path.relative_to(root).as_posix()}/{name}"


def _nothing(root: Path, want: str, others: int) -> str:
    there = (
        f"{others} files of RAVDESS are there, yet none is named {want}-01-*"
        if others
        else "nothing there is named like a take of RAVDESS"
        if root.is_dir()
        else "there is no such folder"
    )
    files = (
        "Audio_Speech_Actors_01-24.zip" if want == "03" else "Video_Speech_Actor_*.zip"
    )
    return (
        f"RAVDESS: no take {want}-01-* in {root.absolute()}: {there}. Get {files} from "
        "Zenodo record 1188976, unpacked or not, and name the folder with --root or "
        "MMDER_RAVDESS_ROOT"
    )
