"""Settings in a file: `--config` reads them, `--save-config` writes them.

The values become the defaults of click's options (`click.Context.default_map`), so that
options on the command line take precedence, and click checks them as it checks options.
"""

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import rich_click as click
from click.core import ParameterSource

from mmder_cli.program import LocalPath
from mmder_train.cli.option_types import (
    FoldNumber,
    ModalityNames,
    PartNames,
    SeedNumber,
    SeedNumbers,
)
from mmder_train.cli.options import OUTPUT, Decorator

LISTS = (PartNames, ModalityNames)
"""Types of options with a list of names, which may be empty."""
NOT_SETTINGS = ("config", "save_config", "resume", "verbose", "version", "help")
"""Options that a file cannot set."""
FOUND_BY_RUN = (
    *("weights_sha256", "weights_format", "norm_eps", "pool", "pos_embed"),
    *("base_lr", "lr"),
)
"""Settings in the results of a run that need not be options of its command."""
ERROR = "mmder.config.error"
"""Key of `click.Context.meta`: error of reading the file."""
WEIGHTS_NAME = "mmder.config.weights"
"""Key of `click.Context.meta`: file name of the weights of the run in a file."""


def config_option(text: str) -> Decorator:
    """Return the option ``--config``."""
    return click.option(
        "--config",
        type=LocalPath(),
        is_eager=True,
        callback=_read_defaults,
        metavar="FILE",
        help=text,
        panel=OUTPUT,
    )


def check_config(ctx: click.Context) -> None:
    """Raise if the file of ``--config`` is wrong, or names weights by file name only.

    Raises:
        MmderError: If the file cannot be used, or names weights without their folder
            and the option is missing.
        OSError: If the file cannot be read.
    """
    from mmder_store.errors import SettingsError

    if ERROR in ctx.meta:
        raise ctx.meta[ERROR]
    name = ctx.meta.get(WEIGHTS_NAME)
    if name and ctx.get_parameter_source("weights") is ParameterSource.DEFAULT:
        msg = (
            f"--config {ctx.params['config']}: the run started from weights {name}, "
            "and their folder is not recorded. Add --weights PATH, or --weights none."
        )
        raise SettingsError(msg)


def _read_defaults(
    ctx: click.Context, _: click.Parameter, path: Path | None
) -> Path | None:
    """Make the values of a file the defaults of the command."""
    from mmder_store.errors import MmderError

    if path is None:
        return None
    try:
        settings = _read_settings(ctx, path)
    except (MmderError, OSError) as error:
        if not isinstance(ctx.command, click.Group):
            raise
        # Raised by `check_config`: before a subcommand, the option itself is refused.
        ctx.meta[ERROR] = error
    else:
        ctx.default_map = {**(ctx.default_map or {}), **settings}
    return path


def _read_settings(ctx: click.Context, path: Path) -> dict[str, Any]:
    """Return the settings of a file, by the name of the parameter.

    Raises:
        SettingsError: If the file cannot be parsed, a setting is unknown, or a value
            has the wrong type or is not accepted.
    """
    from mmder_store.errors import SettingsError

    known = _settings_by_name(ctx)
    settings: dict[str, Any] = {}
    for key, value in _parse(ctx, path, known).items():
        parameter = known.get(key.replace("-", "_"))
        if parameter is None:
            (nearest,) = get_close_matches(key, known, n=1, cutoff=0)
            msg = (
                f"--config {path}: unknown setting {key}; the nearest one is {nearest}"
            )
            raise SettingsError(msg)
        name = str(parameter.name)
        if name in settings:
            msg = f"--config {path}: {key} is set twice; expected each setting once"
            raise SettingsError(msg)
        settings[name] = _checked(ctx, path, key, value, parameter)
    return settings


def _settings_by_name(ctx: click.Context) -> dict[str, click.Option]:
    """Return the options that a file can set, by each of their names."""
    return {
        name.lstrip("-").replace("-", "_"): parameter
        for parameter in ctx.command.params
        if isinstance(parameter, click.Option) and parameter.name not in NOT_SETTINGS
        for name in (str(parameter.name), *parameter.opts)
    }


def _parse(
    ctx: click.Context, path: Path, known: Mapping[str, click.Option]
) -> dict[str, Any]:
    """Return the values of a TOML file, or the settings of a run from its JSON file."""
    from mmder_store.errors import SettingsError

    is_json = path.suffix.lower() == ".json"
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "TOML"
        msg = f"--config {path}: not {kind} ({error})"
        raise SettingsError(msg) from error
    if not is_json:
        return dict(content)
    config = content.get("config") if isinstance(content, dict) else None
    if not isinstance(config, dict):
        msg = (
            f"--config {path}: no settings of a run; expected its results.json or "
            "run.json, or a TOML file"
        )
        raise SettingsError(msg)
    settings = {
        key: value
        for key, value in config.items()
        if value is not None and (key not in FOUND_BY_RUN or key in known)
    }
    if settings.pop("weights", "none") != "none":
        ctx.meta[WEIGHTS_NAME] = config["weights"]
    settings.pop("device", None)
    if settings.pop("seeds", None):
        settings["seed"] = config["seeds"]
    if config.get("base_lr") is not None and "base_lr" not in known:
        settings.pop("lr", None)  # it is scaled again
    if settings.get("recipe") == "none":
        del settings["recipe"]
    return settings


def _checked(
    ctx: click.Context, path: Path, key: str, value: object, parameter: click.Option
) -> object:
    """Return a value in the form that click expects from a default."""
    from mmder_store.errors import SettingsError

    expected, types, lists = _expected(parameter)
    items = value if lists and isinstance(value, list) else [value]
    fits = all(
        isinstance(item, types) and (bool in types or not isinstance(item, bool))
        for item in items
    )
    problem = ""
    if not fits or not (items or isinstance(parameter.type, LISTS)):
        problem = f"expected {expected}"
    elif parameter.multiple or isinstance(value, list):
        value = tuple(items)
    try:
        if not problem:
            parameter.type_cast_value(ctx, value)
    except click.BadParameter as error:
        problem = error.message
    if problem:
        shown = json.dumps(value, default=str)
        msg = f"--config {path}: {key} is {shown}: {problem}"
        raise SettingsError(msg)
    return value


def _expected(parameter: click.Option) -> tuple[str, tuple[type, ...], bool]:
    """Return the accepted values of an option in words, their types, and for lists."""
    kind = parameter.type
    if parameter.is_flag:
        return "true or false", (bool,), False
    if isinstance(kind, SeedNumbers):
        return "an integer, or a list of integers", (int,), True
    if parameter.multiple or isinstance(kind, LISTS):
        return "a text, or a list of texts", (str,), True
    if isinstance(kind, FoldNumber):
        return 'an integer, or "all"', (int, str), False
    if kind is click.INT or isinstance(kind, click.IntRange | SeedNumber):
        return "an integer", (int,), False
    if kind is click.FLOAT or isinstance(kind, click.FloatRange):
        return "a number", (int, float), False
    return "a text", (str,), False


def save_config(
    path: Path, named: Mapping[str, Any], others: Mapping[str, Any]
) -> None:
    """Write settings as TOML, to be read with ``--config``.

    Args:
        path: File to write. An existing file is replaced.
        named: Settings of the file.
        others: All other settings with their values, which are written as comments.
    """
    from mmder_store.atomic_files import atomic_write

    lines = ["# Settings of mmder-train, for --config. All of them are options."]
    lines += [f"{name} = {_toml(value)}" for name, value in sorted(named.items())]
    lines += ["", "# Defaults:"]
    lines += [
        f"# {name} = {_toml(value)}"
        for name, value in sorted(others.items())
        if value is not None and name not in named
    ]
    with atomic_write(path) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: object) -> str:
    """Return a text, number, truth value or a list of them in the syntax of TOML."""
    # The syntax of JSON, in which TOML writes all of these. Paths become texts.
    return json.dumps(value, ensure_ascii=False, default=str)
