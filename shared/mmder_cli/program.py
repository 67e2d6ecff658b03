"""A command group whose errors are one line and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click
from rich_click import RichGroup

VERBOSE = "mmder.verbose"
"""Key of `click.Context.meta` that is set by --verbose."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""


class LocalPath(click.Path):
    """Type of an option that is a path of this machine; an address is an error."""

    def __init__(self) -> None:
        """Create the type; its values are `pathlib.Path` objects."""
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Return the path.

        Raises:
            SettingsError: If it is an address such as ``s3://bucket/store``.
        """
        from mmder_store.local_path import check_local

        name = "path" if param is None else param.opts[0]
        check_local(value, name if name.startswith("-") else name.upper())
        return super().convert(value, param, ctx)


class Program(RichGroup):
    """A command group that reports errors as one line.

    Errors that a user can act on (`MmderError`, `OSError`) exit with code 1, a signal
    that ended training with 128 plus its number, and Ctrl-C with 130. With --verbose
    the traceback is shown instead.
    """

    _verbose = False

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run the program; usage errors are printed as plain lines, without a frame."""
        try:
            code = super().main(
                args, prog_name, complete_var, standalone_mode=False, **extra
            )
        except click.ClickException as error:
            if not standalone_mode:
                raise
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            if not standalone_mode:
                raise
            self.interrupted(None)
            sys.exit(INTERRUPTED)
        except Exception as error:  # from an option of the group itself
            text = one_line(error)
            if text is None or not standalone_mode or self._verbose:
                raise
            print_error(f"{self.name}: error: {text}")
            sys.exit(1)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; exit with one line on errors that a user can act on."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            self.interrupted(ctx.invoked_subcommand)
            sys.exit(INTERRUPTED)
        except Exception as error:
            text = one_line(error)
            self._verbose = bool(ctx.meta.get(VERBOSE))
            if text is None or self._verbose:
                raise
            signal = getattr(error, "signal", None)
            if signal is not None:
                print_error(f"{self.name}: {text}")
                sys.exit(128 + int(signal))
            print_error(f"{self.name}: error: {text}")
            sys.exit(1)

    def interrupted(self, subcommand: str | None) -> None:
        """Print what is kept after Ctrl-C.

        Args:
            subcommand: Name of the command that was running, if known.
        """
        del subcommand
        print_error(f"{self.name}: interrupted")


def one_line(error: Exception) -> str | None:
    """Return the message of an error on one line, or None if no user can act on it.

    Only the problems of a manifest file have a line each.
    """
    from mmder_store.errors import ManifestProblemsError, MmderError

    if isinstance(error, ManifestProblemsError):
        return "\n  ".join(" ".join(line.split()) for line in str(error).split("\n"))
    if isinstance(error, MmderError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return None


def print_error(line: str) -> None:
    """Print a line to standard error."""
    click.echo(line, err=True)


def verbose_option(panel: str | None = None) -> Callable[[Any], Any]:
    """Return the option ``--verbose``, which every command accepts."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_remember_verbose,
        help="Show the traceback of an error.",
        panel=panel,
    )


def _remember_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[VERBOSE] = True
