"""Cache of a frozen encoder's features: one file per strategy and set of settings.

The files are placed next to the store, which stays as it was sealed. Their name is a
hash of everything that determines the features. Labels, folds and the settings of the
head do not.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmder_store import Store
from mmder_store.atomic_files import atomic_write
from mmder_store.errors import FeaturesError, SettingsError, StoreError
from mmder_store.local_path import check_local
from mmder_store.settings import digest
from mmder_train.data.stored_arrays import spectrogram_array
from mmder_train.experiment.setup import Experiment
from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import Modality
from mmder_train.runtime.device import FROZEN_DTYPE

FORMAT_VERSION = 2
"""Version of the file format."""
PACKAGE = Path(__file__).parents[1]
METADATA = "mmder-features"
TENSOR = "features"
CODE = (
    "data/batch_memory.py",
    "data/clip_feed.py",
    "data/device_copies.py",
    "data/held_clips.py",
    "data/loader.py",
    "data/modality_dropout.py",
    "data/sampler.py",
    "data/selection.py",
    "data/stored_arrays.py",
    "experiment/batches.py",
    "experiment/feature_extraction.py",
    "experiment/setup.py",
    "fusion",
    "models",
    "runtime/device.py",
    "training/evaluate.py",
    "weights",
)
"""Files and packages of the trainer that determine the features. All their source is
part of the key."""
PACKAGES = ("mmder", "torch", "timm")
"""Packages whose versions are part of the key."""
CacheKey = Mapping[str, Any]
"""Everything that determines the features of a strategy, as JSON values."""


def cache_dir(store: Path, option: str | None, *, method: str) -> Path | None:
    """Return the folder of cached features, or None if features are not cached.

    Args:
        store: Path of the store.
        option: Value of ``--feature-cache``: a folder, ``none``, or None for the folder
            next to the store.
        method: Training method.

    Raises:
        SettingsError: If a folder is named and the method caches no features.
    """
    if method != "linear-probe" and option not in (None, "none"):
        msg = (
            f"--feature-cache {option}: --method {method} caches no features. "
            "Leave it out."
        )
        raise SettingsError(msg)
    if option == "none":
        return None
    path = store.resolve()
    check_local(option or "", "--feature-cache")
    return Path(option) if option else path.with_name(f"{path.name}.features")


def cache_key(
    experiment: Experiment, strategy: Strategy, dropped: Modality | None = None
) -> dict[str, Any]:
    """Return everything that determines the features of a store's clips, as JSON.

    Args:
        experiment: Settings, store and weights.
        strategy: Strategy of the features.
        dropped: Modality that all clips lack, or None.
    """
    config, store = experiment.config, experiment.store
    audio = spectrogram_array(strategy, config.spectrogram)
    arrays = [*(["frames"] if strategy.frames else []), *([audio] if audio else [])]
    # The seed draws the initial weights and the frame order of RFAS, nothing else.
    seeded = experiment.draws_encoder or strategy.shuffles_frames
    return {
        "format": FORMAT_VERSION,
        "store": store.sha256,
        "content": store.content(arrays),
        "strategy": strategy.name,
        "dropped": dropped,
        "sound": [config.spectrogram, config.colormap, config.spectrogram_norm]
        if audio
        else None,
        "image_norm": config.image_norm,
        "encoder": config.encoder,
        "readout": [config.norm_eps, config.pool, config.pos_embed],
        "weights": config.weights_sha256,
        "allow_missing": sorted(config.allow_missing),
        "seed": config.seed if seeded else None,
        "device": config.device,
        "precision": str(FROZEN_DTYPE[config.device]).removeprefix("torch."),
        "compile": config.compile,
        "versions": {name: version(name) for name in PACKAGES},
        "code": _code_sha256(),
    }


def is_current(experiment: Experiment) -> bool:
    """Return whether the store is still the one that the experiment was set up with."""
    try:
        Store(experiment.store.path, sha256=experiment.store.sha256)
    except StoreError:
        return False
    return True


def file_name(key: CacheKey) -> str:
    """Return the name of the file of features."""
    without = f"no-{key['dropped']}" if key.get("dropped") else ""
    parts = (key["strategy"], without, key["encoder"], digest(key)[:16])
    return f"{'-'.join(filter(None, parts))}.safetensors"


def write(
    path: Path,
    features: Float[Tensor, "clip dim"],
    *,
    clip_ids: Sequence[str],
    key: CacheKey,
) -> None:
    """Write features with their key and the names of their clips.

    Raises:
        OSError: If the file cannot be written.
    """
    metadata = {
        "recipe": key,
        "clips": list(clip_ids),
        "sha256": _sha256(features.numpy().tobytes()),
    }
    text = json.dumps(metadata, sort_keys=True)
    content = save({TENSOR: features.contiguous()}, metadata={METADATA: text})
    with atomic_write(path) as draft, draft.open("wb") as file:
        file.write(content)


def read(
    path: Path, *, clip_ids: Sequence[str], dim: int, key: CacheKey
) -> Float[Tensor, "clip dim"] | None:
    """Read features, or return None if there is no such file.

    Args:
        path: The file.
        clip_ids: Names of the clips that the file must have, in this order.
        dim: Feature dimension of the encoder.
        key: Key that the file must have.

    Raises:
        FeaturesError: If the file is damaged or has other contents.
    """
    if not path.exists():
        return None
    try:
        features = _read_checked(path, clip_ids, dim, key)
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        msg = (
            f"features {path}: {error}. Delete the file to encode the clips again, or "
            "use --feature-cache none."
        )
        raise FeaturesError(msg) from error
    return features


def _read_checked(
    path: Path, clip_ids: Sequence[str], dim: int, key: CacheKey
) -> Float[Tensor, "clip dim"]:
    shape = [len(clip_ids), dim]
    with safe_open(path, framework="pt") as file:
        metadata = json.loads((file.metadata() or {}).get(METADATA, "null"))
        if not isinstance(metadata, dict) or list(file.keys()) != [TENSOR]:
            msg = "not written by mmder-train"
            raise ValueError(msg)
        if metadata.get("recipe") != json.loads(json.dumps(key)):
            msg = "made with other settings than its name states"
            raise ValueError(msg)
        if metadata.get("clips") != list(clip_ids):
            msg = "made from other clips than those of the store"
            raise ValueError(msg)
        # Checked before anything of the stated size is read.
        stored = file.get_slice(TENSOR)
        if stored.get_shape() != shape or stored.get_dtype() != "F32":
            msg = f"{stored.get_dtype()} {stored.get_shape()}, expected F32 {shape}"
            raise ValueError(msg)
        features: Tensor = file.get_tensor(TENSOR)
    if _sha256(features.numpy().tobytes()) != metadata.get("sha256"):
        msg = "damaged: its numbers differ from those that were written"
        raise ValueError(msg)
    return features


def code_files() -> list[Path]:
    """Return every source file that turns clips into features."""
    entries = [PACKAGE / name for name in CODE]
    return [f for e in entries for f in (sorted(e.rglob("*.py")) or [e])]


@cache
def _code_sha256() -> str:
    return digest(
        [
            [str(file.relative_to(PACKAGE)), _sha256(file.read_bytes())]
            for file in code_files()
        ]
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
