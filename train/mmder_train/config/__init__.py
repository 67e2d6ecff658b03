"""Training settings and recipes."""
