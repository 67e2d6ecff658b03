"""Read the configuration files that Hugging Face stores next to a VideoMAE."""

from pathlib import Path
from typing import Any

from mmder_store.errors import WeightsError
from mmder_train.fusion.rendering import IMAGE_NORMS
from mmder_train.weights.readers import read_json
from mmder_train.weights.types import SourceInfo


def read_config(folder: Path) -> SourceInfo:
    """Read ``config.json`` and ``preprocessor_config.json``, if they exist.

    Raises:
        WeightsError: If a file is not a JSON object, or if the model has another
            activation function.
    """
    config = _read_if_exists(folder / "config.json")
    if config.get("model_type") != "videomae":
        config = {}
    activation = config.get("hidden_act", "gelu")
    if activation != "gelu":
        msg = (
            f"weights {folder}: config.json has hidden_act {activation!r}, "
            "expected 'gelu'"
        )
        raise WeightsError(msg)
    norm_eps = config.get("layer_norm_eps")
    image_norm, unnamed = _preprocessor_norm(folder / "preprocessor_config.json")
    return SourceInfo(
        side_px=_int_or_none(config.get("image_size")),
        frames=_int_or_none(config.get("num_frames")),
        heads=_int_or_none(config.get("num_attention_heads")),
        norm_eps=float(norm_eps) if isinstance(norm_eps, int | float) else None,
        image_norm=image_norm,
        unnamed_image_norm=unnamed,
    )


def _read_if_exists(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _int_or_none(value: object) -> int | None:
    return value if isinstance(value, int) else None


def read_image_norm(mean: object, std: object) -> tuple[str | None, str]:
    """Return the name of an image normalization, or None and a description."""
    for name, norm in IMAGE_NORMS.items():
        if _is_close(mean, norm.mean_rgb) and _is_close(std, norm.std_rgb):
            return name, ""
    return None, f"image mean {mean} and std {std}"


def _preprocessor_norm(path: Path) -> tuple[str | None, str]:
    config = _read_if_exists(path)
    if config.get("do_normalize") is False:
        return "none", ""
    if "image_mean" not in config:
        return None, ""
    return read_image_norm(config["image_mean"], config.get("image_std"))


def _is_close(values: object, expected: tuple[float, ...]) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == len(expected)
        and all(
            isinstance(a, int | float) and abs(a - b) < 1e-3
            for a, b in zip(values, expected, strict=True)
        )
    )
