"""The corpora: one file and one row of the table each.

A corpus knows how its publisher names and lays out files, and what the names mean. It
makes a manifest and never decodes anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmder_prep.corpora import ravdess
from mmder_prep.manifest import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A corpus that has a command of its own."""

    name: str
    title: str
    """One line for ``--help``."""
    root: Path
    """Where it is looked for when the user says nothing."""
    root_variable: str
    """The environment variable that says otherwise."""
    modalities: tuple[str, ...]
    find: Callable[..., Manifest]
    """(root, modality) to a manifest."""


CORPORA = (
    Corpus(
        name="ravdess",
        title="RAVDESS speech: 24 actors, 1,440 takes (Zenodo record 1188976).",
        root=ravdess.ROOT,
        root_variable="MMDER_RAVDESS_ROOT",
        modalities=("av", "audio"),
        find=ravdess.find,
    ),
)
