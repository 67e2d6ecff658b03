"""What a store is about: kept in its attributes, read back by both programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmder_store.emotions import LabelSet
from mmder_store.protocols import FoldProtocol
from mmder_store.schema import FORMAT_VERSION, SHARD_CLIPS
from mmder_store.settings import PrepSettings

FORMAT_KEY = "mmder_format"


@dataclass(frozen=True, kw_only=True)
class StoreSpec:
    """What a store is about; kept in its attributes."""

    corpus: str
    clips: int
    settings: PrepSettings
    label_sets: tuple[LabelSet, ...]
    """The first is the trainer's default."""
    protocols: tuple[FoldProtocol, ...]
    """The first is the trainer's default; empty where speakers have no named folds."""
    manifest_sha256: str
    shard_clips: int = SHARD_CLIPS

    @property
    def shards(self) -> int:
        """Count the shards that hold the clips."""
        return -(-self.clips // self.shard_clips)

    def rows(self, shard: int) -> slice:
        """Give the half-open range of clips in a shard."""
        start = shard * self.shard_clips
        return slice(start, min(start + self.shard_clips, self.clips))

    def to_json(self) -> dict[str, Any]:
        """Give the group's attributes."""
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
    def from_json(cls, found: Mapping[str, Any]) -> "StoreSpec":
        """Read the group's attributes."""
        sets, folds = found["label_sets"], found["protocols"]
        return cls(
            corpus=found["corpus"],
            clips=found["clips"],
            shard_clips=found["shard_clips"],
            settings=PrepSettings.from_json(found["settings"]),
            label_sets=tuple(
                LabelSet(
                    name=name,
                    classes=tuple(sets[name]["classes"]),
                    class_of=sets[name]["class_of"],
                    column=sets[name]["column"],
                )
                for name in found["label_order"]
            ),
            protocols=tuple(
                FoldProtocol(
                    name=name,
                    fold_of=folds[name]["fold_of"],
                    source=folds[name]["source"],
                    only_trained=tuple(folds[name]["only_trained"]),
                    held_out=tuple(folds[name]["held_out"]),
                )
                for name in found["protocol_order"]
            ),
            manifest_sha256=found["manifest_sha256"],
        )
