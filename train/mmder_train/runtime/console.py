"""Layout of tables that do not go to a terminal."""

PLAIN_WIDTH = 120
"""Width in columns of a table in a log file."""
