"""Devices, processes, signals and progress."""
