"""Errors that the programs report in one line.

A message names the subject, the value found, the value expected, and the way out. The
message is the only positional argument, so that an error survives pickling on its way
back from a worker.
"""


class MmderError(Exception):
    """Base class of the errors that a user can act on; printed without a traceback."""


class SettingsError(MmderError, ValueError):
    """An invalid option, or an invalid combination of options."""


class ManifestError(MmderError, ValueError):
    """An invalid corpus folder or manifest file."""


class ManifestProblemsError(ManifestError):
    """Several problems of a manifest file, each on a line of its own."""


class MediaError(MmderError):
    """A clip that cannot be decoded. It becomes its status; the run continues."""


class WeightsError(MmderError):
    """A weights file that does not fit the encoder, or is not safe to read."""


class FeaturesError(MmderError):
    """A damaged or mislabeled file of cached features."""


class StoreError(MmderError):
    """A store that cannot be written or read."""


class StoreVersionError(StoreError):
    """A store of another format version."""


class StoreIncompleteError(StoreError):
    """A store that is not sealed, or that lacks shards."""
