"""`mmder-train`: options in, one line of error or a table out.

Torch and zarr take seconds to import, so nothing here imports them before an option
was understood; names of choices are written out, and a test compares them.
"""

import sys
from pathlib import Path
from typing import Any

import click

from mmder_train import commands

STRATEGIES = ("cfas", "sfas", "ffls", "fslf", "ofos", "rfas", "video", "audio")
ENCODERS = ("tiny", "tiny-56", "small", "base", "large", "huge", "giant", "mae-dfer")
STATISTICS = ("imagenet", "half", "none", "release")


class _Strategies(click.ParamType[Any]):
    """Names between commas; ``all`` stands for each."""

    name = "NAME[,NAME...]|all"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(n.strip() for n in str(value).split(","))
        if names == ("all",):
            return STRATEGIES
        for name in names:
            if name not in STRATEGIES:
                self.fail(
                    f"{name!r} is none of {', '.join(STRATEGIES)}, all.", param, ctx
                )
        return names


class _Parts(click.ParamType[Any]):
    """Names between commas."""

    name = "PART[,PART...]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(n.strip() for n in str(value).split(",") if n.strip())


class _Fold(click.ParamType[Any]):
    """A number from 1, or ``all``, which is None."""

    name = "K|all"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        if value == "all":
            return None
        try:
            number = int(str(value))
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r}: expected a number from 1, or all.", param, ctx)
        return number


class _Program(click.Group):
    """A group whose commands end with one line where the user can act."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("mmder-train: interrupted; finished folds are kept")
            sys.exit(130)
        except Exception as error:
            text = _one_line(error)
            if text is None or ctx.params.get("verbose"):
                raise
            _say(f"mmder-train: error: {text}")
            sys.exit(1)


def _one_line(error: Exception) -> str | None:
    """Say what went wrong, or None where the user cannot act on it."""
    from mmder_store.errors import MmderError

    if isinstance(error, MmderError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return None


def _say(line: str) -> None:
    click.echo(line, err=True)


_new_parts = click.option(
    "--new-parts",
    type=_Parts(),
    default=(),
    help="Parts of the encoder that may start at random.",
)


@click.group(
    cls=_Program,
    invoke_without_command=True,
    context_settings={"show_default": True, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    help="Sealed store of mmder-prep; all that is needed.",
)
@click.option(
    "--strategy",
    "strategies",
    type=_Strategies(),
    multiple=True,
    default=("cfas",),
    help=f"What the encoder sees: {', '.join(STRATEGIES)}; may be repeated.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the results.  [default: runs/STORE-HASH]",
)
@click.option(
    "--audio",
    type=click.Choice(("mfcc", "stft", "mel")),
    default="mfcc",
    help="Spectrogram that stands for the sound.",
)
@click.option(
    "--colour",
    type=click.Choice(("viridis", "grey")),
    default="viridis",
    help="What spectrograms are painted with.",
)
@click.option(
    "--scale",
    type=click.Choice(("window", "clip", "fixed")),
    default="window",
    help="Over what a spectrogram is stretched to all colours.",
)
@click.option(
    "--encoder",
    type=click.Choice(ENCODERS),
    help="VideoMAE by size, or MAE-DFER's.  [default: what the weights fit, or tiny]",
)
@click.option(
    "--weights",
    default="none",
    metavar="none|FILE|FOLDER|hf:OWNER/MODEL[/FILE]|timm:NAME[@FILE]",
    help="First weights of the encoder; none for random ones.",
)
@_new_parts
@click.option(
    "--epsilon",
    type=float,
    help="Of the encoder's LayerNorms.  [default: what the weights expect]",
)
@click.option(
    "--pool",
    type=click.Choice(("mean", "region")),
    help="Tokens that are averaged.  [default: what the weights expect]",
)
@click.option(
    "--positions/--no-positions",
    default=None,
    help="Add fixed positions.  [default: what the weights expect]",
)
@click.option(
    "--statistics",
    type=click.Choice(STATISTICS),
    help="Normalisation of pictures.  [default: what the weights expect]",
)
@click.option(
    "--tune",
    type=click.Choice(("head", "full")),
    default="head",
    help="Train a head on the frozen encoder (the paper), or everything.",
)
@click.option("--labels", help="Label set.  [default: the store's first]")
@click.option(
    "--protocol",
    help="Folds named by the store, or speakers-5.  [default: the store's first]",
)
@click.option("--fold", type=_Fold(), default="all", help="Fold that is tested.")
@click.option("--epochs", type=int, help="Passes.  [default: head 100, full 30]")
@click.option("--batch", type=int, help="Clips a step.  [default: head 16, full 8]")
@click.option(
    "--lr", type=float, help="Rate of AdamW.  [default: head 1e-2, full 1e-3]"
)
@click.option("--weight-decay", type=float, default=0.05, help="Weight decay of AdamW.")
@click.option(
    "--patch-rate",
    type=float,
    default=1.0,
    help="Share of the rate for the projection of patches.",
)
@click.option(
    "--augment",
    type=click.Choice(("none", "sound")),
    default="none",
    help="Vary each clip's loudness and pitch at every step.",
)
@click.option(
    "--label-smoothing",
    type=float,
    default=0.0,
    help="Share of a target spread over all classes.",
)
@click.option(
    "--drop-tokens",
    type=float,
    default=0.0,
    help="Share of a clip's tokens that a training step leaves out.",
)
@click.option("--seed", type=int, default=0, help="Seed of all that is drawn.")
@click.option("--rfas-resample", is_flag=True, help="Draw RFAS anew each epoch.")
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    help="Where the encoder computes.",
)
@click.option("--compile", is_flag=True, help="Compile the encoder's blocks.")
@click.option(
    "--checkpoint-activations",
    is_flag=True,
    help="Less memory for --tune full, a third more time.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that read the store.  [default: 0 on a CPU, up to 8 with a GPU]",
)
@click.option("--save-weights", is_flag=True, help="Keep each fold's weights.")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
@click.version_option(package_name="mmder", prog_name="mmder-train")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401
    """Tune a VideoMAE encoder on a store, and test it on speakers it never saw.

    Prints WAR and UAR of every fold. The same command gives the same numbers; said
    again, it goes on where it stopped, and does nothing when all is done.
    """
    if ctx.invoked_subcommand is None:
        if options["store"] is None:
            msg = "Missing option '--store'."
            raise click.UsageError(msg)
        _train(**options)


def _train(
    *,
    store: Path,
    strategies: tuple[tuple[str, ...], ...],
    out: Path | None,
    encoder: str | None,
    labels: str | None,
    protocol: str | None,
    tune: str,
    epochs: int | None,
    batch: int | None,
    lr: float | None,
    device: str,
    workers: int | None,
    save_weights: bool,
    verbose: bool,
    **settings: Any,  # noqa: ANN401
) -> None:
    from rich.console import Console

    from mmder_store import Store
    from mmder_train import report, trial
    from mmder_train.config import TUNES, TrainConfig
    from mmder_train.records import RunFolder
    from mmder_train.run import cross_validate

    default = TUNES[tune]
    config = TrainConfig(
        strategies=tuple(name for names in strategies for name in names),
        encoder=encoder or "",
        tune=tune,  # type: ignore[arg-type]
        labels=labels or "",
        protocol=protocol or "",
        epochs=default.epochs if epochs is None else epochs,
        batch=default.batch if batch is None else batch,
        lr=default.lr if lr is None else lr,
        device=trial.choose_device(device),
        **settings,
    )
    run = trial.prepare(Store(store), config)
    folder = RunFolder(path=out or run.default_folder())
    results = cross_validate(
        run, folder, workers=workers, save_weights=save_weights, say=_say
    )
    report.print_tables(results, folder, Console())


@cli.command("weights")
@click.argument("source", metavar="FILE|FOLDER|hf:...|timm:...")
@click.option(
    "--encoder",
    type=click.Choice(ENCODERS),
    help="Compare with this one.  [default: the one that fits best]",
)
@_new_parts
def tell_weights(
    source: str, *, encoder: str | None, new_parts: tuple[str, ...]
) -> None:
    """Tell what weights hold, and what of them an encoder takes.

    Exit code 1 where they do not fit. Nothing is trained, nothing is written.
    """
    from rich.console import Console

    from mmder_train import weights
    from mmder_train.weights.tell import print_fit

    found = weights.load(source)
    name = encoder or found.encoder or "tiny"
    fit = weights.compare(weights.build_empty(name), found, new_parts)
    print_fit(found, name, fit, Console())
    fit.refuse(found.name)


cli.add_command(commands.baseline)
cli.add_command(commands.report)


def main() -> None:
    """Run the program."""
    cli()
