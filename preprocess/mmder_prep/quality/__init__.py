"""Checks and reports of a sealed store."""
