"""Fingerprint of the software that determines the bytes of a store.

Two processes with the same fingerprint write the same bytes for the same clips. A store
holds shards of one fingerprint only.
"""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from mmder_store.schema import FORMAT_VERSION
from mmder_store.settings import digest

PACKAGES = (
    "av",
    "facenet-pytorch",
    "librosa",
    "numcodecs",
    "numpy",
    "opencv-python-headless",
    "scipy",
    "torch",
    "torchvision",
    "zarr",
)
"""Packages whose versions determine the bytes of a store."""
SOURCES = (
    "mmder_prep.faces",
    "mmder_prep.media",
    "mmder_prep.pipeline",
    "mmder_prep.spectrogram",
    "mmder_prep.timeline",
    "mmder_store",
)
"""Packages and modules of mmder that determine the bytes of a store. Command lines,
corpora and reports do not."""
SOURCE_KEY = "mmder sources"
"""Name of the hash of the sources of mmder."""
MISSING = "not installed"
DEVICE_KEY = "face detection on"
"""Name of the kind of device that detected the faces, unless it is a CPU."""
DEVICE_KINDS = ("cpu", "cuda")
"""Kinds of devices. They round differently, so boxes and crops may differ."""


def device_kind(device: str) -> str:
    """Return the kind of a torch device, such as ``cuda`` for ``cuda:1``."""
    return device.partition(":")[0]


@cache
def compute_fingerprint(kind: str = "cpu") -> tuple[tuple[str, str], ...]:
    """Return the fingerprint of this process: names and values, sorted by name.

    Args:
        kind: Kind of device that detects the faces.
    """
    from mmder_prep.media.container import ffmpeg_version

    values = {name: _version(name) for name in PACKAGES}
    values["FFmpeg"] = ffmpeg_version()
    values["machine"] = platform.machine()
    values["store format"] = str(FORMAT_VERSION)
    values[SOURCE_KEY] = hash_sources()
    if kind != "cpu":
        values[DEVICE_KEY] = kind
    return tuple(sorted(values.items()))


def fingerprint_digest(fingerprint: tuple[tuple[str, str], ...]) -> str:
    """Return the hash of a fingerprint, as the ledger records it."""
    return digest([list(entry) for entry in fingerprint])


def hash_sources() -> str:
    """Return the SHA-256 of the Python files in `SOURCES`."""
    digests: dict[str, str] = {}
    for name in SOURCES:
        spec = find_spec(name)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin is None:
            continue
        package = origin.name == "__init__.py"
        for file in origin.parent.rglob("*.py") if package else [origin]:
            relative = file.relative_to(origin.parent).as_posix()
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digests[f"{name}/{relative}"] = content
    return digest(digests)


def describe_difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Return the differences between two fingerprints; empty if they are equal."""
    parts = []
    for name in sorted({*found, *expected}):
        a, b = found.get(name, MISSING), expected.get(name, MISSING)
        if a == b:
            continue
        if name == SOURCE_KEY:
            parts.append("the source files of its mmder differ")
        else:
            parts.append(f"{name} {a}, expected {b}")
    return ", ".join(parts)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return MISSING
