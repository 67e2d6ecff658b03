"""Options that would have no effect next to another one; they are refused."""

from collections.abc import Collection

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

STORE_OPTIONS = frozenset(
    {"step", "out", "no_face_crop", "shard_clips", "overwrite", "max_failed"}
    | {"workers", "scheduler", "device"}
)
"""Parameters that only matter if a store is made."""


def refuse_ignored_options() -> None:
    """Check that every option of the running command has an effect.

    Raises:
        click.UsageError: With the options that have none, and the reason.
    """
    ctx = get_current_context()
    used = ctx.params
    if used.get("check"):
        _refuse(ctx, STORE_OPTIONS, "--check makes no store")
    if used.get("scheduler") is not None:
        _refuse(ctx, {"workers"}, "--scheduler uses the workers of the cluster")
    if used["modality"] == "audio":
        _refuse(ctx, {"no_face_crop", "device"}, "--modality audio uses no video")
    elif used["no_face_crop"]:
        _refuse(ctx, {"device"}, "--no-face-crop detects no faces")


def _refuse(ctx: click.Context, names: Collection[str], reason: str) -> None:
    """Raise a usage error if one of the parameters is on the command line."""
    ignored = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name in names
        and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if ignored:
        msg = f"{', '.join(ignored)} would be ignored: {reason}."
        raise click.UsageError(msg, ctx)
