"""`mmder-train weights`: what a weights file contains and which encoder it fits."""

import rich_click as click

from mmder_train.cli.options import (
    ENCODERS,
    MODEL,
    allow_missing_option,
    verbose_option,
)


@click.command()
@click.argument("source", metavar="FILE|FOLDER|hf:...|timm:...")
@click.option(
    "--encoder",
    type=click.Choice(ENCODERS),
    help="Encoder to compare with.  [default: the one that fits best]",
    panel=MODEL,
)
@allow_missing_option
@verbose_option
def weights(
    source: str, *, encoder: str | None, allow_missing: tuple[str, ...]
) -> None:
    """Show what a weights file contains, and which of it an encoder loads.

    The exit code is 1 if they do not fit. Nothing is trained or written.
    """
    from rich.console import Console

    from mmder_train.weights import build_meta_encoder, load_weights, match_weights
    from mmder_train.weights.summary import print_match

    loaded = load_weights(source)
    name = encoder or loaded.encoder or "tiny"
    match = match_weights(build_meta_encoder(name), loaded, allow_missing)
    print_match(loaded, name, match, Console())
    match.raise_if_incompatible(loaded.name)
