"""What is in a weights file, for a person to read."""

from collections import Counter
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmder_train.report import PLAIN_WIDTH
from mmder_train.weights.fit import POSITIONS, Fit
from mmder_train.weights.held import Weights

SHOWN = 4
STATISTICS = {
    "imagenet": "mean and spread of ImageNet, by colour",
    "half": "mean 0.5, spread 0.5",
    "none": "0 to 1 as they are",
    "release": "mean of ImageNet, spread 0.225",
}


def print_fit(weights: Weights, encoder: str, fit: Fit, console: Console) -> None:
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


def _rows(weights: Weights, encoder: str, fit: Fit) -> Iterator[tuple[str, str]]:
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
    left_out = dict(weights.left_out)
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
    yield "pictures", f"{weights.statistics}: {STATISTICS[weights.statistics]}"
    asked = weights.readout
    yield "LayerNorm", f"epsilon {asked.epsilon:g}"
    yield "read-out", f"mean of the {'region ' * (asked.pool == 'region')}tokens"
    yield "positions", "fixed sine-cosine" if asked.positions else "none"


def _some(names: list[str], between: str = ", ") -> str:
    more = len(names) - SHOWN
    return between.join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _plain(text: str) -> Text:
    """Give names of a file without what a terminal would obey."""
    return Text("".join(c if c.isprintable() else "?" for c in text))
