"""A fold that is not finished, on disk: it goes on where it was, to the last digit."""

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmder_store.atomic_files import atomic_write, write_json
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.runtime.signals import StopRequest, TrainingInterruptedError
from mmder_train.training.train_state import TrainState


@dataclass(kw_only=True, slots=True)
class Checkpoint:
    """Where one fold is kept while it is learnt.

    A JSON file says how far the fold is and which file holds its tensors; it is renamed
    into place after them, so that the two always belong together. Each process of a
    group keeps its own: their random numbers differ.
    """

    path: Path
    """Of the JSON, without its ending."""
    identity: dict[str, Any]
    """What the run is of; a checkpoint of another one is refused."""
    every_s: float
    stop_request: "StopRequest"
    world: WorldInfo = SINGLE_PROCESS
    _saved: float = field(default_factory=time.monotonic)

    @property
    def _name(self) -> Path:
        rank = f"-{self.world.rank}" if self.world.world_size > 1 else ""
        return self.path.with_name(f"{self.path.name}{rank}.json")

    def load(self, learner: TrainState) -> bool:
        """Let the learner go on where it was; tell if there was anything.

        Raises:
            SettingsError: If what is there is not of this run, or damaged.
        """
        found = self._read()
        # All go on, or all begin: a kill may fall between two of their files.
        steps = self.world.all_gather(found[1]["step"] if found else -1)
        if found is None or len(set(steps)) > 1:
            return False
        try:
            learner.load_state_dict(*found)
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            what = f"is of another model ({_short(error)})"
            raise self._bad(what) from error
        return True

    def _read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        try:
            told = json.loads(self._name.read_text(encoding="utf-8"))
            file = str(told["tensors"])
            int(told["step"])
            wrong = ""
            if Path(file).name != file:
                wrong = f"names a file elsewhere ({file})"
            elif told["of"] != digest(self.identity):
                wrong = "is of a run with other settings"
            if not wrong:
                return load_file(self._name.with_name(file)), told
        except FileNotFoundError as error:
            if error.filename and Path(error.filename) == self._name:
                return None
            wrong = "lacks its tensors"
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            wrong = f"cannot be read ({_short(error)})"
        raise self._bad(wrong)

    def _bad(self, what: str) -> SettingsError:
        return SettingsError(
            f"checkpoint {self._name}: {what}. Delete it to learn this fold anew."
        )

    def after_step(self, learner: TrainState) -> None:
        """Save if it is time to.

        Raises:
            StoppedError: If the run was asked to stop; it is saved.
        """
        # All processes save and stop after the same step.
        number = self.world.all_reduce_max(self.stop_request.signal or 0)
        due = time.monotonic() - self._saved > self.every_s
        if self.world.all_reduce_max(number or due):
            self.save(learner)
        if number:
            stopped = TrainingInterruptedError(
                f"stopped after step {learner.step} of this fold, which is saved: the "
                "same command goes on from there"
            )
            stopped.signal = number
            raise stopped

    def save(self, learner: TrainState) -> None:
        """Write all that the learner is."""
        tensors, facts = learner.state_dict()
        name = self._name
        file = name.with_name(f"{name.stem}-{learner.step}.safetensors")
        with atomic_write(file) as draft:
            save_file(tensors, draft)
        write_json(name, facts | {"tensors": file.name, "of": digest(self.identity)})
        for old in self._files():
            if old not in (name, file):
                old.unlink()
        self._saved = time.monotonic()

    def delete(self) -> None:
        """Remove what is not needed any more: the fold is finished."""
        name = self._name
        name.unlink(missing_ok=True)
        for old in self._files():
            old.unlink()
        if name.parent.is_dir() and not any(name.parent.iterdir()):
            name.parent.rmdir()

    def _files(self) -> list[Path]:
        """List what this process keeps of the fold, and drafts that a kill left of it.

        Others of the group may be writing theirs.
        """
        name = self._name
        own = rf"(\.\d+\.)?{re.escape(name.stem)}(-\d+\.safetensors|\.json)"
        return [f for f in name.parent.glob("*") if re.fullmatch(own, f.name)]


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
