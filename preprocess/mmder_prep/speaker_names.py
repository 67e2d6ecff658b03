"""Names of speakers that are often the same person."""

import re
import unicodedata


def similarity_key(speaker: str) -> str:
    """Return a key that is equal for names that people confuse.

    Ignored are case, blanks, hyphens and underscores, leading zeros of numbers and a
    fraction of zero, as a spreadsheet adds it, and how accents and full-width letters
    are encoded.

    >>> len({similarity_key(s) for s in ("1", "01", "1.0", " 1 ", "\uff11")})
    1
    >>> len({similarity_key(s) for s in ("Anna B", "anna_b", "anna-B", "ANNAB")})
    1
    >>> similarity_key("s1") == similarity_key("s10")
    False
    """
    text = unicodedata.normalize("NFKC", speaker).casefold()
    text = re.sub(r"(\d)[.,]0+(?!\d)", r"\1", text)
    text = re.sub(r"[\s_\-\u2010-\u2015]+", "", text) or text
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)
