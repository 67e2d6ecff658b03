"""Preparation: media files in, a sealed store out."""
