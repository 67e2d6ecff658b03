"""Parts of a file of features: what an interrupted run has encoded so far.

Parts are placed next to the file that they will become. Each has the form of that file
and the name ``NAME.part-FIRST-END.safetensors``, with positions of its clips.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mmder_train.experiment import feature_cache
from mmder_train.experiment.feature_cache import CacheKey


@dataclass(frozen=True, kw_only=True)
class FeatureParts:
    """The parts of one file of features."""

    path: Path
    """File that holds all features once they are complete."""
    clip_ids: Sequence[str]
    """Names of all clips of that file."""
    key: CacheKey
    dim: int
    """Feature dimension of the encoder."""

    def read(self) -> Float[Tensor, "done dim"]:
        """Read the features of the first clips, as many as the parts hold.

        Raises:
            FeaturesError: If a part is damaged.
        """
        features = torch.empty(0, self.dim)
        for first, end, path in sorted(self._files()):
            if first == len(features):
                part = feature_cache.read(
                    path, clip_ids=self.clip_ids[first:end], dim=self.dim, key=self.key
                )
                if part is not None:
                    features = torch.cat([features, part])
        return features

    def write(self, features: Float[Tensor, "part dim"], *, first: int) -> None:
        """Write the features of the clips from position `first` on.

        Raises:
            OSError: If the file cannot be written.
        """
        end = first + len(features)
        path = self.path.with_name(
            f"{self.path.stem}.part-{first}-{end}{self.path.suffix}"
        )
        ids = self.clip_ids[first:end]
        feature_cache.write(path, features, clip_ids=ids, key=self.key)

    def delete(self) -> None:
        """Delete all parts."""
        for _, _, path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, int, Path]]:
        pattern = re.compile(
            rf"{re.escape(self.path.stem)}\.part-(\d+)-(\d+){self.path.suffix}"
        )
        if not self.path.parent.is_dir():
            return []
        matches = [(pattern.fullmatch(p.name), p) for p in self.path.parent.iterdir()]
        return [(int(m[1]), int(m[2]), path) for m, path in matches if m]
