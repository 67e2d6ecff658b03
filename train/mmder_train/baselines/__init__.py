"""Baselines to compare a trained encoder with."""
