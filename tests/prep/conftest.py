"""Property tests run without a deadline: the first example pays for the imports."""

from hypothesis import settings

settings.register_profile("prep", deadline=None)
settings.load_profile("prep")
