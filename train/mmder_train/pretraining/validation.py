"""Measures of a pre-training: the loss on held-out speakers, and a linear probe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mmder_store import LabelSet, Store
from mmder_store.errors import SettingsError
from mmder_train.baselines.classifiers import CLASSIFIERS, fit_and_predict
from mmder_train.data import folds
from mmder_train.data.selection import ClipSelection, select_clips
from mmder_train.evaluation import metrics
from mmder_train.fusion.strategies import Strategy
from mmder_train.pretraining.batches import ClipSource, MaskedBatch
from mmder_train.pretraining.clip_pool import Speaker
from mmder_train.pretraining.masking import is_mixed
from mmder_train.pretraining.model import MaskedAutoencoder
from mmder_train.pretraining.targets import frame_errors, kind_losses, kind_sums
from mmder_train.runtime.device import ENCODE_BATCH_SIZE
from mmder_train.training import evaluate

PROBE = replace(CLASSIFIERS["logistic"], settings={"c": 1.0})
"""Classifier of the probe, with the default regularization of scikit-learn."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Labeled clips on which a frozen encoder is probed."""

    store: Store
    labels: LabelSet
    clips: ClipSelection
    fold: folds.Fold
    """Train clips, and validation clips of other speakers. It has no test clips."""


class _ClipErrors(nn.Module):
    """Errors of an autoencoder, one row per clip."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: MaskedBatch) -> Float[Tensor, "clip 5"]:
        """Return the mean error of each clip, and its sums of `kind_sums`."""
        predicted = self.model(batch.x, batch.visible, batch.hidden)
        errors = frame_errors(predicted.float(), batch.target)
        sums = kind_sums(errors, batch.kinds).flatten(1)
        return torch.cat((errors.mean((1, 2))[:, None], sums), dim=1)


def held_out_losses(
    model: nn.Module, source: ClipSource, index: Int64[np.ndarray, " clip"]
) -> dict[str, float]:
    """Return the losses on held-out speakers, over all processes.

    The masks are the same after each epoch, and no modality is hidden as a whole.

    Args:
        model: The autoencoder.
        source: Clips.
        index: Positions of the clips of held-out speakers.
    """
    batches = source.masked(index, batch_size=ENCODE_BATCH_SIZE[source.device.type])
    _, rows = evaluate.collect_outputs(
        _ClipErrors(model), batches, device=source.device, world=source.world
    )
    sums = rows[:, 1:].double().sum(0).view(2, 2)
    loss = float(rows[:, 0].double().mean())
    return {"val_loss": loss, **kind_losses(sums, prefix="val_")}


def cross_modal_losses(
    model: nn.Module, source: ClipSource, index: Int64[np.ndarray, " clip"]
) -> dict[str, float]:
    """Return how well held-out audio is predicted from faces: its own and others'.

    All audio is hidden, and the faces are masked as after each epoch. In the second
    measure, the faces are those of the next held-out clip. An encoder that relates the
    modalities has the lower loss with the own faces, and no label is needed to see it.

    Args:
        model: The autoencoder.
        source: Clips.
        index: Positions of the clips of held-out speakers, ascending.

    Returns:
        The losses, or nothing if tokens show both modalities, if the strategy has only
        one, or if there is no second clip.
    """
    strategy = source.strategy
    both = bool(strategy.frames and strategy.windows)
    if not both or is_mixed(strategy, source.patch_px) or len(index) < 2:
        return {}
    losses = {}
    for name, faces in (("own", index), ("other", np.roll(index, -1))):
        batches = source.audio_from_faces(
            index, faces, batch_size=ENCODE_BATCH_SIZE[source.device.type]
        )
        _, rows = evaluate.collect_outputs(
            _ClipErrors(model), batches, device=source.device, world=source.world
        )
        sums = rows[:, 1:].double().sum(0).view(2, 2)
        audio = kind_losses(sums)["loss_audio"]
        losses[f"val_loss_audio_from_{name}_faces"] = audio
    return losses


def setup_probe(
    store: Store,
    *,
    strategy: Strategy,
    labels: str,
    excluded: frozenset[Speaker],
    held_out: Sequence[Speaker],
    seed: int,
) -> Probe:
    """Select the clips of a probe.

    Speakers that the pre-training excludes take no part. The validation speakers are
    those that the pre-training holds out. If the store has none of them, they are a
    fifth of its speakers, drawn from the seed.

    Args:
        store: Labeled store.
        strategy: Strategy of the input.
        labels: Label set; empty for the store's first.
        excluded: Speakers that the pre-training does not see.
        held_out: Held-out speakers of the pre-training.
        seed: Seed of the run.

    Raises:
        SettingsError: If the store has no such label set or too few speakers.
    """
    sets = {s.name: s for s in store.spec.label_sets}
    label_set = sets.get(labels or next(iter(sets), ""))
    if label_set is None:
        msg = f"--probe-labels {labels}: the store has {', '.join(sets) or 'none'}"
        raise SettingsError(msg)
    clips = select_clips(store, strategy=strategy, labels=label_set)
    corpus = store.spec.corpus
    kept = [i for i, s in enumerate(clips.speaker) if (corpus, s) not in excluded]
    names = [clips.speaker[i] for i in kept]
    if len(set(names)) < 2:
        msg = (
            f"--probe-store {store.path}: needs two speakers that are not excluded; "
            f"found {', '.join(sorted(set(names))) or 'none'}"
        )
        raise SettingsError(msg)
    index = np.array(kept)
    fold = folds.Fold(number=1, speakers=(), train=index, test=index[:0])
    own = {s for c, s in held_out if c == corpus}
    is_val = np.array([name in own for name in names])
    if is_val.any() and not is_val.all():
        fold = folds.Fold(
            number=1,
            speakers=(),
            train=index[~is_val],
            test=index[:0],
            val_speakers=tuple(sorted(own & set(names))),
            val=index[is_val],
        )
    else:
        fold = folds.with_validation(fold, clips.speaker, seed=seed)
    if len(set(clips.label[fold.train].tolist())) < 2:
        msg = f"--probe-store {store.path}: its train speakers have only one class"
        raise SettingsError(msg)
    return Probe(store=store, labels=label_set, clips=clips, fold=fold)


def probe_scores(
    model: MaskedAutoencoder, probe: Probe, source: ClipSource
) -> dict[str, float]:
    """Fit a logistic regression to the encoder's features, and score other speakers.

    The encoder sees all tokens, as in a linear probe, and does not change.

    Args:
        model: The autoencoder.
        probe: Labeled clips.
        source: The same clips as inputs.
    """
    index = np.concatenate((probe.fold.train, probe.fold.val))
    _, features = evaluate.collect_outputs(
        model.encoder,
        source.fused(np.sort(index), batch_size=ENCODE_BATCH_SIZE[source.device.type]),
        device=source.device,
        world=source.world,
    )
    order = np.argsort(np.argsort(index))
    classes = len(probe.labels.classes)
    labels = probe.clips.label[index]
    probabilities = fit_and_predict(
        PROBE,
        features.double().numpy()[order],
        labels,
        np.arange(len(probe.fold.train)),
        classes=classes,
    )
    val = slice(len(probe.fold.train), None)
    counts = metrics.confusion(
        labels[val], probabilities[val].argmax(axis=1), classes=classes
    )
    return {"probe_war": metrics.war(counts), "probe_uar": metrics.uar(counts)}
