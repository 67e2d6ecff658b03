"""TODO."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

PLAIN_WIDTH = 100
"""Columns of a table in a log file."""
