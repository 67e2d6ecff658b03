"""Features of a frozen encoder, one vector a clip, in a file that says what made it.

The file lies beside the store, which stays as it was sealed. Its name is a hash of all
that determines the features; labels, folds and the settings of heads do not.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmder_store.atomic_files import atomic_write
from mmder_store.errors import FeaturesError, SettingsError
from mmder_store.settings import digest
from mmder_train import fusion, models
from mmder_train.data.dataset import spectrogram_array
from mmder_train.experiment.setup import Experiment
from mmder_train.fusion.strategies import Strategy
from mmder_train.models.registry import Encoder
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.training import evaluate

FORMAT_VERSION = 1
"""Raised by whoever changes how weights are loaded; `CODE` sees to the rest."""
METADATA = "mmder-features"
TENSOR = "features"
CODE = (fusion, models)
"""Packages whose change makes other features of the same clips."""
PACKAGES = ("mmder", "torch", "timm")
CacheKey = Mapping[str, Any]


def cache_dir(store: Path, asked: str | None, *, method: str) -> Path | None:
    """Give the folder where features are kept, None where they are not.

    Args:
        store: Path of the store.
        asked: What the user said: a folder, none, or nothing for beside the store.
        method: How is tuned.

    Raises:
        SettingsError: If a folder is named and nothing would be kept there.
    """
    if method != "linear-probe" and asked not in (None, "none"):
        msg = f"--feature-cache {asked}: --method {method} keeps none. Leave it out."
        raise SettingsError(msg)
    if asked == "none":
        return None
    where = store.resolve()
    return Path(asked) if asked else where.with_name(f"{where.name}.features")


def cache_key(run: Experiment, strategy: Strategy) -> dict[str, Any]:
    """Give all that determines the features of a store's clips, as JSON."""
    config, store = run.config, run.store
    sound = spectrogram_array(strategy, config.spectrogram)
    arrays = [*(["frames"] if strategy.frames else []), *([sound] if sound else [])]
    # The seed draws first weights, and the places of some strategies: nothing else.
    seeded = run.weights is None or config.allow_missing or strategy.shuffles_frames
    return {
        "format": FORMAT_VERSION,
        "store": store.sha256,
        "content": store.content(arrays),
        "strategy": strategy.name,
        "sound": [config.spectrogram, config.colormap, config.spectrogram_norm]
        if sound
        else None,
        "image_norm": config.image_norm,
        "encoder": config.encoder,
        "readout": [config.norm_eps, config.pool, config.pos_embed],
        "weights": config.weights_sha256,
        "allow_missing": sorted(config.allow_missing),
        "seed": config.seed if seeded else None,
        "device": config.device,
        "compile": config.compile,
        "versions": {name: version(name) for name in PACKAGES},
        "code": _code_sha256(),
    }


def file_name(made_by: CacheKey) -> str:
    """Name the file of features."""
    key = digest(made_by)[:16]
    return f"{made_by['strategy']}-{made_by['encoder']}-{key}.safetensors"


def write(
    path: Path,
    features: Float[Tensor, "clip dim"],
    *,
    clip_ids: Sequence[str],
    made_by: CacheKey,
) -> None:
    """Write features, with what made them and the names of their clips.

    Raises:
        OSError: If they cannot be written there.
    """
    about = {
        "recipe": made_by,
        "clips": list(clip_ids),
        "sha256": _sha256(features.numpy().tobytes()),
    }
    text = json.dumps(about, sort_keys=True)
    held = save({TENSOR: features.contiguous()}, metadata={METADATA: text})
    with atomic_write(path) as draft, draft.open("wb") as file:
        file.write(held)
        file.flush()
        os.fsync(file.fileno())


def read(
    path: Path, *, clip_ids: Sequence[str], dim: int, made_by: CacheKey
) -> Float[Tensor, "clip dim"] | None:
    """Read features; None where there is no such file.

    Args:
        path: The file.
        clip_ids: The clips that it must hold, in this order.
        dim: Numbers of a clip.
        made_by: What must have made it.

    Raises:
        FeaturesError: If it is damaged, or holds anything else.
    """
    if not path.exists():
        return None
    try:
        found = _read_checked(path, clip_ids, dim, made_by)
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        msg = (
            f"features {path}: {error}. Delete the file: it is then made again; or say "
            "--feature-cache none."
        )
        raise FeaturesError(msg) from error
    return found


def _read_checked(
    path: Path, clip_ids: Sequence[str], dim: int, made_by: CacheKey
) -> Float[Tensor, "clip dim"]:
    shape = [len(clip_ids), dim]
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {}).get(METADATA, "null"))
        if not isinstance(about, dict) or list(file.keys()) != [TENSOR]:
            msg = "not written by mmder-train"
            raise ValueError(msg)
        if about.get("recipe") != json.loads(json.dumps(made_by)):
            msg = "made by other settings than its name says"
            raise ValueError(msg)
        if about.get("clips") != list(clip_ids):
            msg = "of other clips than those of the store"
            raise ValueError(msg)
        # Looked at before anything of this size is read.
        held = file.get_slice(TENSOR)
        if held.get_shape() != shape or held.get_dtype() != "F32":
            msg = f"{held.get_dtype()} {held.get_shape()}, expected F32 {shape}"
            raise ValueError(msg)
        features: Tensor = file.get_tensor(TENSOR)
    if _sha256(features.numpy().tobytes()) != about.get("sha256"):
        msg = "damaged: its numbers are not those that were written"
        raise ValueError(msg)
    return features


def extract_features(
    encoder: Encoder,
    batches: evaluate.Inputs,
    *,
    device: torch.device,
    group: WorldInfo = SINGLE_PROCESS,
) -> Float[Tensor, "clip dim"]:
    """Give one vector a clip, in the order of the clips' positions."""
    return evaluate.collect_outputs(encoder, batches, device=device, group=group)[1]


def _code_sha256() -> str:
    """Hash every source file that turns clips into features."""
    files = [
        file
        for package in CODE
        for folder in package.__path__
        for file in sorted(Path(folder).rglob("*.py"))
    ]
    return digest([[file.name, _sha256(file.read_bytes())] for file in files])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
