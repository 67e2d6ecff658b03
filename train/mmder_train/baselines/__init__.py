"""Baselines that a trained encoder is compared with."""
