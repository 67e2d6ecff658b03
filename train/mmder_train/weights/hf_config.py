"""What Hugging Face writes beside a VideoMAE: its configuration, its statistics."""

from pathlib import Path
from typing import Any

from mmder_store.errors import WeightsError
from mmder_train.fusion.rendering import IMAGE_NORMS
from mmder_train.weights.readers import read_json
from mmder_train.weights.types import SourceInfo


def read_config(folder: Path) -> SourceInfo:
    """Read ``config.json`` and ``preprocessor_config.json`` where they are.

    Raises:
        WeightsError: If they tell of another model.
    """
    config = _json(folder / "config.json")
    if config.get("model_type") != "videomae":
        config = {}
    act = config.get("hidden_act", "gelu")
    if act != "gelu":
        msg = f"weights {folder}: config.json has hidden_act {act!r}, expected 'gelu'"
        raise WeightsError(msg)
    epsilon = config.get("layer_norm_eps")
    name, other = _said(folder / "preprocessor_config.json")
    return SourceInfo(
        side_px=_whole(config.get("image_size")),
        frames=_whole(config.get("num_frames")),
        heads=_whole(config.get("num_attention_heads")),
        norm_eps=float(epsilon) if isinstance(epsilon, int | float) else None,
        image_norm=name,
        unnamed_image_norm=other,
    )


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def read_image_norm(mean: object, std: object) -> tuple[str | None, str]:
    """Give the name of some statistics, or None and what they are."""
    for name, row in IMAGE_NORMS.items():
        if _close(mean, row.mean_rgb) and _close(std, row.std_rgb):
            return name, ""
    return None, f"mean {mean} and spread {std}"


def _said(path: Path) -> tuple[str | None, str]:
    said = _json(path)
    if said.get("do_normalize") is False:
        return "none", ""
    if "image_mean" not in said:
        return None, ""
    return read_image_norm(said["image_mean"], said.get("image_std"))


def _close(found: object, expected: tuple[float, ...]) -> bool:
    return (
        isinstance(found, list | tuple)
        and len(found) == len(expected)
        and all(
            isinstance(a, int | float) and abs(a - b) < 1e-3
            for a, b in zip(found, expected, strict=True)
        )
    )
