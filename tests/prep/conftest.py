"""Laws are checked without a clock: the first example of a law pays for imports."""

from hypothesis import settings

settings.register_profile("prep", deadline=None)
settings.load_profile("prep")
