"""Errors a user can act on.

Text = subject, found, expected, way out. The message is the one positional
argument, so that an error survives pickling on its way back from a worker.
"""


class MmderError(Exception):
    """Reported by the programs in one line, without a traceback."""


class SettingsError(MmderError, ValueError):
    """An option, or a combination of options, that cannot be served."""


class ManifestError(MmderError, ValueError):
    """A corpus folder or a manifest file that does not say what it must."""


class MediaError(MmderError):
    """A clip that cannot be decoded; it becomes a status, never a stop."""


class WeightsError(MmderError):
    """A weights file that does not fit the encoder, or is not safe to read."""


class FeaturesError(MmderError):
    """A file of features that is damaged, or not what its name says."""


class StoreError(MmderError):
    """A store that cannot be written or read."""


class StoreVersionError(StoreError):
    """A store of another format version."""


class StoreIncompleteError(StoreError):
    """A store that is not sealed, or shards that are not written."""
