"""Datasets, samplers, folds and augmentation."""
