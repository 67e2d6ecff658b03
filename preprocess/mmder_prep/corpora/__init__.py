"""The supported corpora: one module and one row of `CORPORA` per corpus.

A corpus module knows the file names and the folder layout of its publisher, and their
meaning. It returns a manifest and never decodes media.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmder_prep.corpora import (
    cremad,
    dfew,
    enterface,
    iemocap,
    mafw,
    mead,
    msp_improv,
    ravdess,
    savee,
)
from mmder_prep.corpora.listing import root_variable
from mmder_prep.corpora.manifest import Manifest
from mmder_prep.corpora.published import ExpectedContents


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """A command-line option that only one corpus has."""

    name: str
    """Name of the keyword argument of `find` and `published`."""
    help: str
    """Help text of the command-line option."""
    choices: tuple[str, ...] = ()
    """Allowed values, the default first. Empty for a flag."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A corpus with a command of its own."""

    name: str
    """Name of the command."""
    title: str
    """One-line description for ``--help``."""
    step: str
    """Default of ``--step``, chosen so that 16 frames fit most clips."""
    find: Callable[..., Manifest]
    """Function of (root, modality, options) that lists the clips under a folder."""
    published: Callable[..., ExpectedContents]
    """Function of (modality, options) that returns the published contents."""
    options: tuple[Option, ...] = ()
    """Options that only this corpus has."""

    @property
    def root(self) -> Path:
        """Default folder of the corpus."""
        return Path("data") / self.name

    @property
    def root_variable(self) -> str:
        """Environment variable that overrides the default folder."""
        return root_variable(self.name)


CORPORA = (
    Corpus(
        name="ravdess",
        title="RAVDESS speech: 24 actors, 1,440 clips (Zenodo record 1188976).",
        step="6",
        find=ravdess.find,
        published=ravdess.published,
    ),
    Corpus(
        name="cremad",
        title="CREMA-D: 91 actors, 7,437 clips, and crowd-sourced ratings.",
        step="3",
        find=cremad.find,
        published=cremad.published,
        options=(
            Option(
                name="include_known_bad",
                help="Include the five clips that are known to be bad (7,442 clips).",
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
                help="Include the turns with other labels or no label (10,039 turns).",
            ),
        ),
    ),
    Corpus(
        name="mead",
        title="MEAD: 48 actors, eight emotions at up to three levels.",
        step="6",
        find=mead.find,
        published=mead.published,
        options=(Option(name="view", help="Camera view.", choices=mead.VIEWS),),
    ),
    Corpus(
        name="savee",
        title="SAVEE: four men, seven emotions, 480 clips.",
        step="6",
        find=savee.find,
        published=savee.published,
    ),
    Corpus(
        name="enterface",
        title="eNTERFACE'05: up to 44 speakers, six emotions, some 1,260 clips.",
        step="auto",
        find=enterface.find,
        published=enterface.published,
    ),
    Corpus(
        name="msp-improv",
        title="MSP-IMPROV: twelve actors in six sessions, four emotions.",
        step="auto",
        find=msp_improv.find,
        published=msp_improv.published,
    ),
    Corpus(
        name="dfew",
        title="DFEW: 11,697 clips of films, seven emotions.",
        step="auto",
        find=dfew.CORPUS.find,
        published=dfew.CORPUS.published,
    ),
    Corpus(
        name="mafw",
        title="MAFW: 9,172 clips of films and shows, eleven emotions.",
        step="auto",
        find=mafw.CORPUS.find,
        published=mafw.CORPUS.published,
    ),
)
