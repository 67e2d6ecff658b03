"""Prediction of new clips with the models of a finished run."""
