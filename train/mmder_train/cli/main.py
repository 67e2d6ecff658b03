"""`mmder-train`: options in, one line of error or a table out.

Torch and zarr take seconds to import, so nothing here imports them before an option
was understood; names of choices are written out, and a test compares them.
"""

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mmder_train.cli import baseline, predict, report, weights
from mmder_train.cli.options import RECIPES, training_options


class _Program(click.Group):
    """A group whose commands end with one line where the user can act."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            trains = ctx.invoked_subcommand is None
            kept = "finished folds are kept" if trains else "nothing is half-written"
            _say(f"mmder-train: interrupted; {kept}")
            sys.exit(130)
        except Exception as error:
            text = _one_line(error)
            if text is None or ctx.params.get("verbose"):
                raise
            stopped = getattr(error, "signal", None)
            if stopped is not None:
                _say(f"mmder-train: {text}")
                sys.exit(128 + int(stopped))
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
    "--weights",
    default="none",
    metavar="none|FILE|FOLDER|hf:OWNER/MODEL[/FILE]|timm:NAME[@FILE]",
    help="First weights of the encoder; none for random ones.",
)
@click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    help="Preset for what is not named here; the README lists them.",
)
@training_options
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with the run in this folder, with its settings.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the results.  [default: runs/STORE-HASH]",
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    help="Where the encoder computes.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that read the store.  [default: 0 on a CPU, up to 8 with a GPU]",
)
@click.option(
    "--feature-cache",
    metavar="DIR|none",
    help="Folder where --method linear-probe keeps features.  [default: STORE.features]",
)
@click.option("--save-weights", is_flag=True, help="Keep each fold's weights.")
@click.option(
    "--save-every",
    type=click.FloatRange(min=0),
    default=5.0,
    metavar="MINUTES",
    help="How often a fold that is being tuned is saved.",
)
@click.option("--tensorboard", is_flag=True, help="Write scalars for TensorBoard.")
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
        source = ctx.get_parameter_source
        named = {
            name for name in options if source(name) is not ParameterSource.DEFAULT
        }
        aside = {
            name: options.pop(name)
            for name in (
                *("store", "weights", "recipe", "resume", "out", "device", "workers"),
                *("features", "save_every", "save_weights", "tensorboard", "verbose"),
            )
        }
        given = {name: value for name, value in options.items() if name in named}
        from mmder_train.cli.train import train

        train(given, **aside)


cli.add_command(baseline.baseline)
cli.add_command(predict.predict)
cli.add_command(report.report)
cli.add_command(weights.weights)


def main() -> None:
    """Run the program."""
    cli()
