"""Weights of the folds of a run: a head each, with its encoder or a reference to it."""

from collections.abc import Mapping
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
    probe writes the frozen encoder once, and each head to a file that names it. There
    is one encoder per seed if the seed draws its weights.
    """

    def __init__(self, experiment: Experiment, directory: RunDirectory) -> None:
        """Create the writer of a run."""
        self._experiment = experiment
        self._directory = directory
        self._references: dict[Path, dict[str, Any]] = {}

    def save(self, output: FoldOutput) -> None:
        """Write the weights of a fold.

        Raises:
            WeightsError: If the folder has the encoder of another run.
            OSError: If a file cannot be written.
        """
        tensors = weights.to_state_dict(output.encoder, output.head)
        metadata = self._fold_metadata(output)
        if output.encoder is None:
            metadata |= self._encoder_reference(output.strategy_run.seed)
        name = output.strategy_run.name
        path = self._directory.weights(name, output.fold.number)
        with atomic_write(path) as draft:
            weights.save_weights(draft, tensors, metadata)

    def _encoder_reference(self, seed: int) -> dict[str, Any]:
        """Return an entry of a head's metadata. The encoder is written if needed."""
        experiment, encoder_seed = self._experiment, self._experiment.encoder_seed(seed)
        path = self._directory.encoder(encoder_seed)
        if path not in self._references:
            if encoder_seed is not None:
                experiment = experiment.of_seed(encoder_seed)
            self._references[path] = self._write_encoder(experiment, path)
        return self._references[path]

    def _write_encoder(self, experiment: Experiment, path: Path) -> dict[str, Any]:
        tensors = weights.to_state_dict(experiment.saved_encoder, None)
        if not path.exists():
            with atomic_write(path) as draft:
                weights.save_weights(draft, tensors, _encoder_metadata(experiment))
        elif not _holds(path, tensors):
            msg = (
                f"weights {path}: not the encoder of this run. Delete its folder and "
                "run again with --save-weights."
            )
            raise WeightsError(msg)
        return shared_encoder.refer_to(path, readers.sha256([path]))

    def _fold_metadata(self, output: FoldOutput) -> dict[str, Any]:
        strategy_run, fold = output.strategy_run, output.fold
        labels, store = self._experiment.labels, self._experiment.store
        experiment = self._experiment.of_seed(strategy_run.seed)
        return _encoder_metadata(experiment) | {
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


def missing_weights(
    directory: RunDirectory, name: str, fold: int, *, seed: int | None
) -> bool:
    """Return whether the weights of a finished fold are not all there.

    A head without the encoder's file that it names is of no use.

    Args:
        directory: Folder of the run.
        name: Name of the strategy in the files.
        fold: Number of the fold.
        seed: Seed of the frozen encoder, from `Experiment.encoder_seed`.
    """
    path = directory.weights(name, fold)
    if not path.exists():
        return True
    return readers.names_encoder(path) and not directory.encoder(seed).exists()


def _encoder_metadata(experiment: Experiment) -> dict[str, Any]:
    metadata = {
        "encoder": experiment.config.encoder,
        "config": experiment.config.to_json(),
    }
    if experiment.weights is not None:
        # A trained encoder has seen all that its initial weights have seen.
        earlier = experiment.weights.metadata.get(seen_clips.METADATA)
        metadata |= {} if earlier is None else {seen_clips.METADATA: earlier}
    return metadata


def _holds(path: Path, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Return whether a file holds exactly these tensors."""
    found = readers.read_checkpoint(path).tensors
    return found.keys() == tensors.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
        for name, tensor in tensors.items()
    )
