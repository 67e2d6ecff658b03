"""The corpora: one file and one row of the table each.

A corpus knows how its publisher names and lays out files, and what the names mean. It
makes a manifest and never decodes anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmder_prep.corpora import cremad, iemocap, mead, ravdess
from mmder_prep.corpora.manifest import Manifest
from mmder_prep.corpora.published import ExpectedContents


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """What may be asked of one corpus alone."""

    name: str
    """Of the keyword of `find` and `published`."""
    help: str
    choices: tuple[str, ...] = ()
    """The first is the default; a flag where there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A corpus that has a command of its own."""

    name: str
    title: str
    """One line for ``--help``."""
    step: str
    """Step of the 16 frames that fits its clips, as ``--step`` takes it."""
    find: Callable[..., Manifest]
    """(root, modality, options) to what is there."""
    published: Callable[..., ExpectedContents]
    """(modality, options) to what should be there."""
    options: tuple[Option, ...] = ()

    @property
    def root(self) -> Path:
        """Where it is looked for when the user says nothing."""
        return Path("data") / self.name

    @property
    def root_variable(self) -> str:
        """Name the environment variable that says otherwise."""
        return f"MMDER_{self.name.upper()}_ROOT"


CORPORA = (
    Corpus(
        name="ravdess",
        title="RAVDESS speech: 24 actors, 1,440 takes (Zenodo record 1188976).",
        step="6",
        find=ravdess.find,
        published=ravdess.published,
    ),
    Corpus(
        name="cremad",
        title="CREMA-D: 91 actors, 7,437 clips, and the crowd's votes.",
        step="3",
        find=cremad.find,
        published=cremad.published,
        options=(
            Option(
                name="include_known_bad",
                help="Take the five clips that are known to be bad, too: 7,442.",
            ),
        ),
    ),
    Corpus(
        name="iemocap",
        title="IEMOCAP: ten actors in five sessions, 5,531 turns of four classes.",
        step="auto",
        find=iemocap.find,
        published=iemocap.published,
        options=(
            Option(
                name="all_turns",
                help="Take the turns of all other labels, and of none, too: 10,039.",
            ),
        ),
    ),
    Corpus(
        name="mead",
        title="MEAD: 48 actors, eight emotions at up to three levels.",
        step="6",
        find=mead.find,
        published=mead.published,
        options=(
            Option(name="view", help="Camera that is taken.", choices=mead.VIEWS),
        ),
    ),
)
