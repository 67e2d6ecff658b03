"""Decoding of media files on one clock."""
