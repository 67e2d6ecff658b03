"""Texts and numbers from outside, made fit for a page."""

import re

import numpy as np

TEXT_CHARACTERS = 160
DASH, MINUS = "\u2013", "\u2212"


def plain(text: object) -> str:
    """Make a text safe to show: one line, not long, no hidden signs."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in str(text))
    cut = len(shown) > TEXT_CHARACTERS
    return shown[: TEXT_CHARACTERS - 1] + "…" if cut else shown


def without_paths(text: str) -> str:
    """Take folders out of a text; the page names clips, not where they lie."""
    text = re.sub(r"(['\"])[^'\"]*[\\/]([^'\"\\/]+)\1", r"\1…/\2\1", text)
    return re.sub(r"(?<![\w…])(?:[A-Za-z]:)?[\\/](?:[^\s\\/:'\"]+[\\/])*", "…/", text)


def brief(value: float) -> str:
    """Write a number in three places; nothing where it is unknown.

    >>> [brief(v) for v in (0.25, 12.34, 3.0, float("nan"))]
    ['0.25', '12.3', '3', '']
    """
    if np.isnan(value):
        return ""
    if np.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", MINUS)
