"""Published splits of speakers into cross-validation folds.

A `FoldProtocol` is kept in the store, so the trainer needs no other file.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

SpeakerSeparation = Literal["apart", "unknown"]
"""``apart`` if no person is in training and test. ``unknown`` if the publisher splits
clips and does not name the people; each clip then counts as a speaker of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldProtocol:
    """A split of speakers into test folds."""

    name: str
    """Name of the split in results."""
    fold_of: Mapping[str, int]
    """Test fold (from 1) of each speaker."""
    source: str
    """Publication or code that defines the split."""
    only_trained: tuple[str, ...] = ()
    """Speakers in the training set of every fold and in no test set."""
    held_out: tuple[str, ...] = ()
    """Validation speakers, in no training set and no test set."""
    speakers: SpeakerSeparation = "apart"
    """Relation of the people in training to those in test."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry for the attributes of a store."""
        entry = {
            "fold_of": dict(self.fold_of),
            "source": self.source,
            "only_trained": list(self.only_trained),
            "held_out": list(self.held_out),
        }
        return (
            entry if self.speakers == "apart" else entry | {"speakers": self.speakers}
        )


def _folds(*folds: Iterable[int]) -> dict[str, int]:
    """Return the fold of each RAVDESS actor from one list of actors per fold."""
    return {f"{a:02d}": k for k, fold in enumerate(folds, start=1) for a in fold}


def _actors(*actors: int) -> tuple[str, ...]:
    return tuple(f"{a:02d}" for a in actors)


_MEN = (
    *(3, 5, 7, 9, 11, 12, 13, 19, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34),
    *(35, 37, 39, 40, 41, 42),
)
_WOMEN = (
    *(9, 11, 14, 15, 16, 17, 18, 19, 21, 23, 24, 25, 26, 28, 29, 33, 35, 36, 37),
    *(38, 40),
)
MEAD_SPEAKERS = (*(f"M{n:03d}" for n in _MEN), *(f"W{n:03d}" for n in _WOMEN))
"""The 48 released speakers."""
ENTERFACE_SPEAKERS = tuple(f"s{number:02d}" for number in range(1, 45))
"""Speakers of the largest copy; number 12 is missing from others."""


def _deal_speakers(speakers: Iterable[str], folds: int, seed: int) -> dict[str, int]:
    """Assign speakers to folds in turn, men first, in a random but fixed order.

    Speakers are sorted by the SHA-256 of the seed and the name, so that the order is
    the same on every machine.
    """

    def draw(name: str) -> tuple[str, str]:
        return name[0], hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()

    return {s: i % folds + 1 for i, s in enumerate(sorted(speakers, key=draw))}


PROTOCOLS = {
    p.name: p
    for p in (
        FoldProtocol(
            name="ravdess-contiguous-6",
            fold_of=_folds(*(range(a, a + 4) for a in range(1, 25, 4))),
            source="six folds of four consecutive actors, as in MAE-DFER, HiCMAE, MSAF",
        ),
        FoldProtocol(
            name="ravdess-emobox-6",
            fold_of=_folds(
                (1, 11, 20, 21),
                (4, 10, 12, 14),
                (8, 9, 19, 23),
                (3, 5, 7, 24),
                (2, 15, 16, 18),
                (6, 13, 17, 22),
            ),
            source="EmoBox, data/ravdess/fold_1 to fold_6",
        ),
        FoldProtocol(
            name="ravdess-luna-jimenez-5",
            fold_of=_folds(
                (2, 5, 14, 15, 16),
                (3, 6, 7, 13, 18),
                (10, 11, 12, 19, 20),
                (8, 17, 21, 23, 24),
                (1, 4, 9, 22),
            ),
            source="Luna-Jimenez et al., Applied Sciences 12(1):327, 2021",
        ),
        FoldProtocol(
            name="ravdess-avt-1",
            fold_of=_folds((5, 10, 16, 19)),
            only_trained=_actors(
                1, 2, 3, 4, 6, 7, 8, 9, 12, 14, 15, 17, 20, 21, 23, 24
            ),
            held_out=_actors(11, 13, 18, 22),
            source="the one split of AVT's released models (Chumachenko et al., 2022)",
        ),
        FoldProtocol(
            name="ravdess-cfn-sr-5",
            fold_of=_folds(*(range(a, a + 4) for a in range(1, 21, 4))),
            only_trained=_actors(21, 22, 23, 24),
            source="the default of CFN-SR's code: actors 21 to 24 are never tested",
        ),
        FoldProtocol(
            name="cremad-contiguous-5",
            fold_of={str(1001 + i): min(i // 18, 4) + 1 for i in range(91)},
            source="five folds of 18 consecutive actors, the last of 19, as in "
            "MAE-DFER, HiCMAE, AVF-MAE++",
        ),
        FoldProtocol(
            name="iemocap-sessions-5",
            fold_of={f"Ses0{k}{sex}": k for k in range(1, 6) for sex in "FM"},
            source="leave one session out, as in SUPERB, AV-SUPERB, MERBench",
        ),
        FoldProtocol(
            name="mead-speakers-5",
            fold_of=_deal_speakers(MEAD_SPEAKERS, folds=5, seed=0),
            source="none is published; men and women dealt to five folds in turn, in "
            "the order of the SHA-256 of 0: and the name",
        ),
        FoldProtocol(
            name="savee-speakers-4",
            fold_of={"DC": 1, "JE": 2, "JK": 3, "KL": 4},
            source="leave one speaker out",
        ),
        FoldProtocol(
            name="enterface-speakers-5",
            fold_of=_deal_speakers(ENTERFACE_SPEAKERS, folds=5, seed=0),
            source="none without shared speakers is published; dealt to five folds in "
            "the order of the SHA-256 of 0: and the name",
        ),
        FoldProtocol(
            name="msp-improv-sessions-6",
            fold_of={f"{sex}0{k}": k for k in range(1, 7) for sex in "FM"},
            source="leave one session out, as in HiCMAE",
        ),
    )
}
"""Fold protocols by name."""
