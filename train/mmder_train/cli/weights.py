"""TODO."""

import click

from mmder_train.cli.options import ENCODERS, allow_missing_option


@click.command("weights")
@click.argument("source", metavar="FILE|FOLDER|hf:...|timm:...")
@click.option(
    "--encoder",
    type=click.Choice(ENCODERS),
    help="Compare with this one.  [default: the one that fits best]",
)
@allow_missing_option
def weights(source: str, *, encoder: str | None, new_parts: tuple[str, ...]) -> None:
    """Tell what weights hold, and what of them an encoder takes.

    Exit code 1 where they do not fit. Nothing is trained, nothing is written.
    """
    from rich.console import Console

    from mmder_train import weights
    from mmder_train.weights.summary import print_fit

    found = weights.load_weights(source)
    name = encoder or found.encoder or "tiny"
    fit = weights.compare(weights.build_empty(name), found, new_parts)
    print_fit(found, name, fit, Console())
    fit.raise_if_incompatible(found.name)
