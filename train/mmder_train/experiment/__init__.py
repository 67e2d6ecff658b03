"""Cross-validation of fusion strategies: fine-tuning or a linear probe per fold."""
