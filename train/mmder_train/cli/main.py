"""The command group of `mmder-train` and its error handling.

Torch and zarr take seconds to import, so they are imported only after the options were
parsed.
"""

import shlex
from pathlib import Path
from typing import Any

import rich_click as click
from click.core import ParameterSource

from mmder_cli.program import LocalPath, Program, print_error
from mmder_train.cli.baseline import baseline
from mmder_train.cli.compare import compare
from mmder_train.cli.config_file import check_config, config_option, save_config
from mmder_train.cli.env import env
from mmder_train.cli.export import export
from mmder_train.cli.features import features
from mmder_train.cli.figures import figures
from mmder_train.cli.options import (
    DATA,
    OPTIMIZATION,
    OUTPUT,
    RECIPES,
    device_option,
    out_option,
    store_option,
    tensorboard_option,
    verbose_option,
    weights_option,
    workers_option,
)
from mmder_train.cli.predict import predict
from mmder_train.cli.pretrain import pretrain
from mmder_train.cli.score import score
from mmder_train.cli.training_options import training_options
from mmder_train.cli.weights import weights

RUNTIME_OPTIONS = (
    *("store", "test_stores", "weights", "recipe", "resume", "out", "device"),
    *("workers", "feature_cache", "save_every", "save_weights", "shard_weights"),
    "tensorboard",
)
"""Parameters of the group that are not settings in `TrainConfig`."""


class TrainProgram(Program):
    """The command group of `mmder-train`."""

    def interrupted(self, subcommand: str | None) -> None:
        """Print what is kept after Ctrl-C."""
        kept = "no file is half-written" if subcommand else "finished folds are kept"
        print_error(f"mmder-train: interrupted; {kept}")


@click.group(
    "mmder-train",
    cls=TrainProgram,
    invoke_without_command=True,
    context_settings={"show_default": True, "help_option_names": ["-h", "--help"]},
)
@store_option(required=False, text="Sealed store written by mmder-prep; required.")
@click.option(
    "--test-store",
    "test_stores",
    type=LocalPath(),
    multiple=True,
    help="Sealed store to test on after training on the whole --store; can be "
    "repeated.",
    panel=DATA,
)
@weights_option
@training_options
@click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    help="Preset for every setting that is not named on the command line.",
    panel=OPTIMIZATION,
)
@out_option("Folder for the results.  [default: runs/STORE-HASH]")
@click.option(
    "--resume",
    type=LocalPath(),
    metavar="RUN",
    help="Resume the run in this folder with its own settings.",
    panel=OUTPUT,
)
@config_option(
    "TOML file with options, or results.json of a run whose settings are used. Options "
    "on the command line take precedence."
)
@click.option(
    "--save-config",
    type=LocalPath(),
    metavar="FILE",
    help="Write the options on the command line and in --config to FILE, and end.",
    panel=OUTPUT,
)
@device_option("Device of the encoder.")
@workers_option
@click.option(
    "--feature-cache",
    metavar="DIR|none",
    help="Folder in which --method linear-probe caches features.  "
    "[default: STORE.features]",
    panel=OUTPUT,
)
@click.option(
    "--save-weights",
    is_flag=True,
    help="Save the weights of each fold; 'mmder-train predict' needs them.",
    panel=OUTPUT,
)
@click.option(
    "--save-every",
    type=click.FloatRange(min=0),
    default=5.0,
    metavar="MINUTES",
    help="Interval between checkpoints of --method finetune.",
    panel=OUTPUT,
)
@click.option(
    "--shard-weights",
    is_flag=True,
    help="Divide weights, gradients and moments of --method finetune among the "
    "processes of torchrun (FSDP2), for encoders that do not fit on one GPU.",
    panel=OUTPUT,
)
@tensorboard_option
@verbose_option
@click.version_option(package_name="mmder", prog_name="mmder-train")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401
    """Train an encoder on a store and test it on speakers it never saw.

    Prints WAR and UAR of every fold. The same command produces the same numbers. Rerun
    an interrupted command to resume it; a finished run is only printed.
    """
    source = ctx.get_parameter_source
    named = [n for n in options if source(n) is not ParameterSource.DEFAULT]
    if ctx.invoked_subcommand is not None:
        _refuse_misplaced(ctx, named)
        return
    check_config(ctx)
    del options["config"]
    settings_file = options.pop("save_config")
    if settings_file is not None:
        _save(settings_file, options, named)
        return
    if options["store"] is None:
        msg = "Missing option '--store'."
        raise click.UsageError(msg)
    from mmder_train.cli.train import train

    runtime = {name: options.pop(name) for name in RUNTIME_OPTIONS}
    train({name: options[name] for name in named if name in options}, **runtime)


def _save(path: Path, options: dict[str, Any], named: list[str]) -> None:
    """Write the named options to a file, and all others as comments."""
    from mmder_train.cli.train import resolved_settings

    given = {name: options[name] for name in named if name in options}
    settings = {k: v for k, v in given.items() if k not in RUNTIME_OPTIONS}
    resolved = resolved_settings(
        settings, recipe=options["recipe"], weights=options["weights"]
    )
    others = {
        k: v
        for k, v in {**options, **resolved}.items()
        if k in options and (k, v) != ("recipe", "none")
    }
    save_config(path, given | {k: resolved[k] for k in settings}, others)
    click.echo(f"settings: {path}")
    click.echo(f"next: mmder-train --config {shlex.quote(str(path))}", err=True)


def _refuse_misplaced(ctx: click.Context, named: list[str]) -> None:
    """Raise a usage error if options of training precede a subcommand."""
    if not named:
        return
    spelled = {p.name: p.opts[0] for p in ctx.command.params}
    options = ", ".join(spelled[name] for name in named)
    msg = (
        f"{options} before '{ctx.invoked_subcommand}' would be ignored: options of "
        f"training. Put options of '{ctx.invoked_subcommand}' after its name."
    )
    raise click.UsageError(msg)


for command in (
    *(baseline, compare, env, export, features, figures),
    *(predict, pretrain, score, weights),
):
    cli.add_command(command)


def main() -> None:
    """Run the program."""
    cli()
