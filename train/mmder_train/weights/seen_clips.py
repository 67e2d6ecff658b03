"""Clips and speakers that an encoder has seen in pre-training, kept with its weights.

Only hashes of the clips are kept: they recognize a clip, and do not contain it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmder_store.errors import SettingsError, WeightsError
from mmder_train.data.clip_hashes import HASH_CHARS

MAX_HEADER_BYTES = 90_000_000
"""Maximum size of the hashes in a file. Safetensors reads headers up to 100 MB."""
METADATA = "pretraining"
"""Entry of the weights' metadata."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenClips:
    """Clips that were seen in one or several pre-trainings."""

    clips: int = 0
    """Number of clips."""
    hashes: frozenset[str] = frozenset()
    """Hashes of the clips, from `data.clip_hashes`. A clip has up to three."""
    speakers: Mapping[str, tuple[str, ...]]
    """Speakers of the clips, sorted, by corpus."""

    def union(self, other: "SeenClips") -> "SeenClips":
        """Return the clips of both, for an encoder that was pre-trained twice."""
        corpora = sorted({*self.speakers, *other.speakers})
        return SeenClips(
            clips=self.clips + other.clips,
            hashes=self.hashes | other.hashes,
            speakers={
                c: tuple(
                    sorted({*self.speakers.get(c, ()), *other.speakers.get(c, ())})
                )
                for c in corpora
            },
        )

    def seen(
        self, clip_hashes: Sequence[Iterable[str]], speakers: Sequence[str], corpus: str
    ) -> list[int]:
        """Return the positions of clips that were seen, or whose speaker was.

        Args:
            clip_hashes: Hashes of each clip.
            speakers: Speaker of each clip.
            corpus: Corpus of the clips. Speakers are compared within a corpus.
        """
        known = set(self.speakers.get(corpus, ()))
        return [
            position
            for position, (hashes, speaker) in enumerate(
                zip(clip_hashes, speakers, strict=True)
            )
            if speaker in known or not self.hashes.isdisjoint(hashes)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the entry for the metadata of weights.

        Raises:
            SettingsError: If the hashes do not fit in a weights file.
        """
        text = "".join(sorted(self.hashes))
        if len(text) > MAX_HEADER_BYTES:
            msg = (
                f"{self.clips} clips: a weights file has room for the hashes of "
                f"{MAX_HEADER_BYTES // (3 * HASH_CHARS):,}. Use fewer stores."
            )
            raise SettingsError(msg)
        return {
            "clips": self.clips,
            "hashes": text,
            "speakers": {c: list(s) for c, s in sorted(self.speakers.items())},
        }

    def describe(self) -> str:
        """Return a line with the number of clips and the speakers per corpus."""
        corpora = "; ".join(
            f"{corpus} {', '.join(names)}"
            for corpus, names in sorted(self.speakers.items())
        )
        return f"{self.clips} clips of speakers {corpora}"


def read_seen_clips(name: str, metadata: Mapping[str, Any]) -> SeenClips | None:
    """Return the clips seen in pre-training, or None if the weights state none.

    Args:
        name: Name of the weights, for messages.
        metadata: Metadata of mmder's own weights format.

    Raises:
        WeightsError: If the entry is damaged.
    """
    entry = metadata.get(METADATA)
    if entry is None:
        return None
    try:
        text = entry["seen"]["hashes"]
        hashes = [text[i : i + HASH_CHARS] for i in range(0, len(text), HASH_CHARS)]
        if hashes and len(hashes[-1]) < HASH_CHARS:
            msg = "a hash is cut off"
            raise ValueError(msg)
        return SeenClips(
            clips=int(entry["seen"]["clips"]),
            hashes=frozenset(hashes),
            speakers={
                str(corpus): tuple(map(str, names))
                for corpus, names in entry["seen"]["speakers"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = (
            f"weights {Path(name).name}: the list of clips seen in pre-training is "
            f"damaged ({error!r}); copy the file again"
        )
        raise WeightsError(msg) from error
