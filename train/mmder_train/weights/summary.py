"""Print a readable summary of a weights file."""

from collections import Counter
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmder_train.runtime.console import PLAIN_WIDTH
from mmder_train.weights.matching import POSITIONS, WeightMatch
from mmder_train.weights.seen_clips import read_seen_clips
from mmder_train.weights.types import Weights

MAX_NAMES = 4
"""Maximum number of tensor names per row."""
IMAGE_NORM_TEXT = {
    "imagenet": "mean and std of ImageNet, per color channel",
    "half": "mean 0.5, std 0.5",
    "none": "values in [0, 1], unchanged",
    "release": "mean of ImageNet, std 0.225",
}


def print_match(
    weights: Weights, encoder: str, match: WeightMatch, console: Console
) -> None:
    """Print a table of the properties of a source and of the tensors that fit.

    Args:
        weights: Weights from `load_weights`.
        encoder: Name of the encoder that they were compared with.
        match: Result of `match_weights`.
        console: Console to print to.
    """
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    table = Table(box=box.ASCII2, show_header=False)
    table.add_column("property", no_wrap=True)
    table.add_column("value", overflow="fold")
    for name, value in _rows(weights, encoder, match):
        table.add_row(name, _printable(value))
    console.print(table)


def _rows(
    weights: Weights, encoder: str, match: WeightMatch
) -> Iterator[tuple[str, str]]:
    numbers = sum(weights.tensors[name].numel() for name in match.matched)
    dtypes = Counter(
        str(weights.tensors[name].dtype).removeprefix("torch.")
        for name in match.matched
    )
    yield "weights", weights.name
    yield "format", weights.format
    yield "sha256", weights.sha256
    yield "encoder", encoder
    yield (
        "matched",
        f"{len(match.matched)} tensors, {numbers:,} parameters"
        + (f" ({', '.join(dtypes)})" if dtypes else ""),
    )
    dropped = dict(weights.dropped)
    if POSITIONS in weights.tensors:
        dropped[POSITIONS] = "positions, which the encoder computes itself"
    names_by_reason: dict[str, list[str]] = {}
    for name, reason in dropped.items():
        names_by_reason.setdefault(reason, []).append(name)
    for reason, names in names_by_reason.items():
        yield "not loaded", f"{reason}: {_shorten(names)}"
    parts = ["the head of every fold"] + ([_shorten([*match.new])] if match.new else [])
    yield "new", "; ".join(parts)
    if match.mismatched:
        yield "mismatched", _shorten([*match.mismatched], "; ")
    if match.unexpected:
        yield "unexpected", _shorten([*match.unexpected])
    if match.missing:
        yield "missing", _shorten([*match.missing])
    yield "images", f"{weights.image_norm}: {IMAGE_NORM_TEXT[weights.image_norm]}"
    readout = weights.readout
    yield "LayerNorm", f"epsilon {readout.norm_eps:g}"
    yield "pooling", f"mean of the {'region ' * (readout.pool == 'region')}tokens"
    yield "positions", "fixed sine-cosine" if readout.pos_embed else "none"
    seen = read_seen_clips(weights.name, weights.metadata)
    if seen is not None:
        yield "pre-trained on", seen.describe()


def _shorten(names: list[str], separator: str = ", ") -> str:
    hidden = len(names) - MAX_NAMES
    shown = separator.join(names[:MAX_NAMES])
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def _printable(text: str) -> Text:
    """Replace control characters, which a terminal would interpret."""
    return Text("".join(c if c.isprintable() else "?" for c in text))
