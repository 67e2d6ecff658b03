"""The command-line program `mmder-prep`."""

from mmder_prep.cli.main import cli, main

__all__ = ["cli", "main"]
