"""Specification of a store, kept in the attributes of its Zarr group."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmder_store.emotions import LabelSet
from mmder_store.protocols import FoldProtocol
from mmder_store.schema import FORMAT_VERSION, SHARD_CLIPS
from mmder_store.settings import PrepSettings

FORMAT_KEY = "mmder_format"
"""Attribute that holds the format version."""


@dataclass(frozen=True, kw_only=True)
class StoreSpec:
    """Specification of a store: corpus, settings, label sets and fold protocols."""

    corpus: str
    clips: int
    """Number of clips."""
    settings: PrepSettings
    label_sets: tuple[LabelSet, ...]
    """Label sets; the first is the default of the trainer."""
    protocols: tuple[FoldProtocol, ...]
    """Fold protocols; the first is the default of the trainer. Empty if the corpus has
    none."""
    manifest_sha256: str
    """Hash of the list of clips."""
    shard_clips: int = SHARD_CLIPS
    """Number of clips per shard."""

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.clips // self.shard_clips)

    def rows(self, shard: int) -> slice:
        """Return the half-open range of the clips of a shard."""
        start = shard * self.shard_clips
        return slice(start, min(start + self.shard_clips, self.clips))

    def to_json(self) -> dict[str, Any]:
        """Return the attributes of the Zarr group."""
        return {
            FORMAT_KEY: FORMAT_VERSION,
            "corpus": self.corpus,
            "clips": self.clips,
            "shard_clips": self.shard_clips,
            "settings": self.settings.to_json(),
            "label_sets": {s.name: s.to_json() for s in self.label_sets},
            "label_order": [s.name for s in self.label_sets],
            "protocols": {p.name: p.to_json() for p in self.protocols},
            "protocol_order": [p.name for p in self.protocols],
            "manifest_sha256": self.manifest_sha256,
        }

    @classmethod
    def from_json(cls, attributes: Mapping[str, Any]) -> "StoreSpec":
        """Create a specification from the attributes of the Zarr group."""
        sets, folds = attributes["label_sets"], attributes["protocols"]
        return cls(
            corpus=attributes["corpus"],
            clips=attributes["clips"],
            shard_clips=attributes["shard_clips"],
            settings=PrepSettings.from_json(attributes["settings"]),
            label_sets=tuple(
                LabelSet(
                    name=name,
                    classes=tuple(sets[name]["classes"]),
                    class_of=sets[name]["class_of"],
                    column=sets[name]["column"],
                )
                for name in attributes["label_order"]
            ),
            protocols=tuple(
                FoldProtocol(
                    name=name,
                    fold_of=folds[name]["fold_of"],
                    source=folds[name]["source"],
                    only_trained=tuple(folds[name]["only_trained"]),
                    held_out=tuple(folds[name]["held_out"]),
                    speakers=folds[name].get("speakers", "apart"),
                )
                for name in attributes["protocol_order"]
            ),
            manifest_sha256=attributes["manifest_sha256"],
        )
