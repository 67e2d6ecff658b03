"""What is in a weights file, for a person to read."""

from collections import Counter
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmder_train.runtime.console import PLAIN_WIDTH
from mmder_train.weights.matching import POSITIONS, WeightMatch
from mmder_train.weights.types import Weights

MAX_NAMES = 4
IMAGE_NORM_TEXT = {
    "imagenet": "mean and spread of ImageNet, by colour",
    "half": "mean 0.5, spread 0.5",
    "none": "0 to 1 as they are",
    "release": "mean of ImageNet, spread 0.225",
}


def print_fit(
    weights: Weights, encoder: str, fit: WeightMatch, console: Console
) -> None:
    """Print one table: what the source is, and what of it an encoder takes.

    Args:
        weights: From `load`.
        encoder: Name of the encoder that they were compared with.
        fit: From `compare`.
        console: Where to.
    """
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    table = Table(box=box.ASCII2, show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for what, found in _rows(weights, encoder, fit):
        table.add_row(what, _plain(found))
    console.print(table)


def _rows(
    weights: Weights, encoder: str, fit: WeightMatch
) -> Iterator[tuple[str, str]]:
    numbers = sum(weights.tensors[name].numel() for name in fit.matched)
    kinds = Counter(
        str(weights.tensors[name].dtype).removeprefix("torch.") for name in fit.matched
    )
    yield "weights", weights.name
    yield "format", weights.format
    yield "sha256", weights.sha256
    yield "encoder", encoder
    yield (
        "matched",
        f"{len(fit.matched)} tensors, {numbers:,} numbers"
        + (f" ({', '.join(kinds)})" if kinds else ""),
    )
    left_out = dict(weights.dropped)
    if POSITIONS in weights.tensors:
        left_out[POSITIONS] = "positions, which the encoder makes itself"
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        yield "left out", f"{why}: {_some(names)}"
    parts = ["the head of every fold"] + ([_some([*fit.new])] if fit.new else [])
    yield "new", "; ".join(parts)
    if fit.other:
        yield "differs", _some([*fit.other], "; ")
    if fit.homeless:
        yield "no place for", _some([*fit.homeless])
    if fit.missing:
        yield "missing", _some([*fit.missing])
    yield "pictures", f"{weights.image_norm}: {IMAGE_NORM_TEXT[weights.image_norm]}"
    asked = weights.readout
    yield "LayerNorm", f"epsilon {asked.norm_eps:g}"
    yield "read-out", f"mean of the {'region ' * (asked.pool == 'region')}tokens"
    yield "positions", "fixed sine-cosine" if asked.pos_embed else "none"


def _some(names: list[str], between: str = ", ") -> str:
    more = len(names) - MAX_NAMES
    return between.join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _plain(text: str) -> Text:
    """Give names of a file without what a terminal would obey."""
    return Text("".join(c if c.isprintable() else "?" for c in text))
