"""Text and numbers from outside, formatted for the page."""

import re

import numpy as np

MAX_CHARACTERS = 160
"""Maximum length of a text on the page."""
DASH, MINUS = "\u2013", "\u2212"


def plain(text: object) -> str:
    """Return a text on one line, without hidden characters, cut to a maximum length."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in str(text))
    too_long = len(shown) > MAX_CHARACTERS
    return shown[: MAX_CHARACTERS - 1] + "…" if too_long else shown


def without_paths(text: str) -> str:
    """Remove folders from a text; the page names clips, not their location."""
    text = re.sub(r"(['\"])[^'\"]*[\\/]([^'\"\\/]+)\1", r"\1…/\2\1", text)
    return re.sub(r"(?<![\w…])(?:[A-Za-z]:)?[\\/](?:[^\s\\/:'\"]+[\\/])*", "…/", text)


def brief(value: float) -> str:
    """Format a number with about three digits; return an empty text for NaN.

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
