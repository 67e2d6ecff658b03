"""Weights of the folds of a run: a head each, with its encoder or a reference to it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from mmder_store import FORMAT_VERSION
from mmder_store.atomic_files import atomic_write
from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.experiment.setup import Experiment
from mmder_train.experiment.types import FoldOutput
from mmder_train.weights import readers, seen_clips, shared_encoder


class FoldWeights:
    """Writer of the weights of a run. The primary process uses it.

    Fine-tuning writes the encoder and the head of each fold to one file. A linear
    probe writes the frozen encoder once, and each head to a file that names it.
    """

    def __init__(self, experiment: Experiment, directory: RunDirectory) -> None:
        """Create the writer of a run."""
        self._experiment = experiment
        self._directory = directory

    def save(self, output: FoldOutput) -> None:
        """Write the weights of a fold.

        Raises:
            WeightsError: If the folder has the encoder of another run.
            OSError: If a file cannot be written.
        """
        tensors = weights.to_state_dict(output.encoder, output.head)
        metadata = self._fold_metadata(output)
        if output.encoder is None:
            metadata |= self._encoder_reference
        name = output.strategy_run.strategy.name
        path = self._directory.weights(name, output.fold.number)
        with atomic_write(path) as draft:
            weights.save_weights(draft, tensors, metadata)

    @cached_property
    def _encoder_reference(self) -> dict[str, Any]:
        """Entry of a head's metadata. The encoder is written if it is not yet there."""
        path = self._directory.encoder
        experiment = self._experiment
        tensors = weights.to_state_dict(experiment.saved_encoder, None)
        if not path.exists():
            with atomic_write(path) as draft:
                weights.save_weights(draft, tensors, self._encoder_metadata())
        elif not _holds(path, tensors):
            msg = (
                f"weights {path}: not the encoder of this run. Delete its folder and "
                "run again with --save-weights."
            )
            raise WeightsError(msg)
        return shared_encoder.refer_to(path, readers.sha256([path]))

    def _encoder_metadata(self) -> dict[str, Any]:
        experiment = self._experiment
        metadata = {
            "encoder": experiment.config.encoder,
            "config": experiment.config.to_json(),
        }
        if experiment.weights is not None:
            # A trained encoder has seen all that its initial weights have seen.
            earlier = experiment.weights.metadata.get(seen_clips.METADATA)
            metadata |= {} if earlier is None else {seen_clips.METADATA: earlier}
        return metadata

    def _fold_metadata(self, output: FoldOutput) -> dict[str, Any]:
        strategy_run, fold = output.strategy_run, output.fold
        labels, store = self._experiment.labels, self._experiment.store
        return self._encoder_metadata() | {
            "labels": labels.name,
            "classes": list(labels.classes),
            "strategy": strategy_run.strategy.name,
            "fold": fold.number,
            "tested_speakers": list(fold.speakers),
            "trained_clips": [strategy_run.clips.clip_id[i] for i in fold.train],
            "store_sha256": store.sha256,
            # With these, a new clip can be preprocessed in the same way without the
            # store.
            "preparation": {
                "format": FORMAT_VERSION,
                "settings": store.spec.settings.to_json(),
            },
        }


def missing_weights(directory: RunDirectory, strategy: str, fold: int) -> bool:
    """Return whether the weights of a finished fold are not all there.

    A head without the encoder's file that it names is of no use.
    """
    path = directory.weights(strategy, fold)
    if not path.exists():
        return True
    return readers.names_encoder(path) and not directory.encoder.exists()


def _holds(path: Path, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Return whether a file holds exactly these tensors."""
    found = readers.read_checkpoint(path).tensors
    return found.keys() == tensors.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
        for name, tensor in tensors.items()
    )
