"""Datasets, samplers, cross-validation folds and augmentation."""
