"""The command-line program `mmder-train`."""

from mmder_train.cli.main import cli, main

__all__ = ["cli", "main"]
