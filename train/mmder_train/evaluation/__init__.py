"""Scores, tables and result files of a run."""
