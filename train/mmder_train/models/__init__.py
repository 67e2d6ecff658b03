"""Encoders, the classification head, and the classifier that joins them."""
