"""Check that no test clip was seen in the pre-training of the initial weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.config.train_config import TrainConfig
from mmder_train.data.clip_hashes import clip_hashes
from mmder_train.data.folds import Fold
from mmder_train.data.selection import ClipSelection
from mmder_train.weights.seen_clips import METADATA, read_seen_clips
from mmder_train.weights.types import Weights

RENDERING = ("spectrogram", "colormap", "spectrogram_norm")
"""Settings of a pre-training that change the encoder's input."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenFold:
    """Test clips of a fold that were seen in pre-training, or whose speakers were."""

    fold: int
    """Number of the fold. 0 for another store."""
    clips: int
    """Number of test clips that were seen, or whose speakers were."""
    of: int
    """Number of test clips."""
    speakers: tuple[str, ...]
    """Speakers of these clips, sorted."""

    def __str__(self) -> str:
        """Return a line for messages."""
        scope = f"fold {self.fold}: " if self.fold else ""
        return (
            f"{scope}{self.clips} of {self.of} test clips were seen in "
            f"pre-training, or their speakers were ({', '.join(self.speakers)})"
        )


def find_seen_folds(
    weights: Weights, store: Store, clips: ClipSelection, folds: Sequence[Fold]
) -> tuple[SeenFold, ...]:
    """Return the folds with test clips that the weights have seen.

    Args:
        weights: Initial weights.
        store: Store of the clips.
        clips: Clips of a strategy.
        folds: Folds that are tested.

    Raises:
        WeightsError: If the list of seen clips is damaged.
    """
    known = read_seen_clips(weights.name, weights.metadata)
    if known is None:
        return ()
    hashes = clip_hashes(store, clips.row.tolist())
    seen = set(known.seen(hashes, clips.speaker, store.spec.corpus))
    return tuple(
        SeenFold(
            fold=fold.number,
            clips=len(found),
            of=len(fold.test),
            speakers=tuple(sorted({clips.speaker[i] for i in found})),
        )
        for fold in folds
        if (found := seen.intersection(fold.test.tolist()))
    )


def check_not_seen(
    weights: Weights, seen: Sequence[SeenFold], config: TrainConfig
) -> list[str]:
    """Return warnings about seen test clips, if the user allows them.

    Args:
        weights: Initial weights.
        seen: Folds from `find_seen_folds`.
        config: Settings.

    Raises:
        SettingsError: If the user does not allow them.
    """
    if seen and not config.allow_seen:
        rest = f" ({len(seen)} such folds)" if len(seen) > 1 else ""
        msg = (
            f"weights {weights.name}: {seen[0]}{rest}. Pre-train with --exclude-fold "
            f"{seen[0].fold} --protocol {config.protocol} and use --fold "
            f"{seen[0].fold}, or pass --allow-seen, which marks the result as not "
            "valid."
        )
        raise SettingsError(msg)
    return [f"not valid: {fold}" for fold in seen]


def rendering_warnings(weights: Weights, config: TrainConfig) -> list[str]:
    """Return warnings about inputs that differ from those of the pre-training."""
    if METADATA not in weights.metadata:
        return []
    pretrained = weights.metadata.get("config") or {}
    own = config.to_json()
    return [
        f"weights {weights.name} were pre-trained with --{name.replace('_', '-')} "
        f"{pretrained[name]}; this run uses {own[name]}"
        for name in RENDERING
        if pretrained.get(name) not in (None, own[name])
    ]
