"""Save and resume a partly trained fold, bit for bit."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmder_store.atomic_files import atomic_write, write_json
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.runtime.signals import StopRequest, TrainingInterruptedError
from mmder_train.runtime.tensor_files import save_tensors
from mmder_train.training.process_state import ProcessState, pack, unpack
from mmder_train.training.train_state import TrainState


@dataclass(kw_only=True, slots=True)
class Checkpoint:
    """Files that hold the training state of one fold.

    A JSON file holds the progress of the fold and names the file of its tensors. It is
    renamed into place after that file is complete, so that the two always match. The
    primary process writes them, with the random states of all processes. The fold can
    be resumed with another number of processes.
    """

    path: Path
    """Path of the JSON file without its suffix."""
    identity: dict[str, Any]
    """Identity of the run. A checkpoint of another run is rejected."""
    save_every_s: float
    """Seconds between two checkpoints."""
    stop_request: StopRequest
    """Request that is checked after each step."""
    world: WorldInfo = SINGLE_PROCESS
    """Processes that train together."""
    task: str = "this fold"
    """Name of the training, for messages."""
    _saved_s: float = field(default_factory=time.monotonic)

    @property
    def _json_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def load(self, state: TrainState) -> bool:
        """Restore the state from the checkpoint, and return whether there was one.

        Raises:
            SettingsError: If the checkpoint is damaged or belongs to another run.
        """
        saved = self._read()
        steps = self.world.all_gather(saved[1]["step"] if saved else None)
        if len(set(steps)) > 1:
            problem = f"differs between the processes (steps {steps})"
            way_out = "Put the folder of the run where all processes can read it."
            raise self._error(problem, way_out)
        if saved is None:
            return False
        world = self.world
        try:
            state.load_state_dict(*saved)
            own = unpack(*saved, rank=world.rank, world_size=world.world_size)
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            problem = f"is of another model ({_short(error)})"
            raise self._error(problem) from error
        state.load_process_state(own)
        return True

    def _read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        try:
            facts = json.loads(self._json_path.read_text(encoding="utf-8"))
            file = str(facts["tensors"])
            int(facts["step"])
            problem = ""
            if Path(file).name != file:
                problem = f"names a file in another folder ({file})"
            elif facts["of"] != digest(self.identity):
                problem = "is of a run with other settings"
            if not problem:
                return load_file(self._json_path.with_name(file)), facts
        except FileNotFoundError as error:
            if error.filename and Path(error.filename) == self._json_path:
                return None
            problem = "lacks its tensors"
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            problem = f"cannot be read ({_short(error)})"
        raise self._error(problem)

    def _error(self, problem: str, way_out: str = "") -> SettingsError:
        way_out = way_out or f"Delete it to train {self.task} from the beginning."
        return SettingsError(f"checkpoint {self._json_path}: {problem}. {way_out}")

    def after_step(self, state: TrainState) -> None:
        """Save the state if a checkpoint is due or the run shall stop.

        Raises:
            TrainingInterruptedError: If the run was asked to stop. The state is saved.
        """
        # All processes save and stop after the same step. One number holds both, so
        # that they exchange it once: the signal, and in its last bit whether to save.
        due = time.monotonic() - self._saved_s > self.save_every_s
        request = self.world.all_reduce_max(2 * (self.stop_request.signal or 0) + due)
        number = request // 2
        if request:
            self.save(state)
        if number:
            interrupted = TrainingInterruptedError(
                f"stopped after step {state.step} of {self.task}, which is saved. Run "
                "the same command to resume."
            )
            interrupted.signal = number
            raise interrupted

    def save(self, state: TrainState) -> None:
        """Write the complete state, and delete older files. All processes call it.

        Raises:
            NonFiniteLossError: If the loss of the last step is infinite or NaN.
                Nothing is written.
            OSError: If a file cannot be written. The older checkpoint is kept.
        """
        state.check_loss()
        process_states = self.world.all_gather(state.process_state())
        if self.world.is_primary:
            self._write(state, process_states)
        self._saved_s = time.monotonic()

    def _write(self, state: TrainState, process_states: Sequence[ProcessState]) -> None:
        tensors, facts = (
            shared | own
            for shared, own in zip(
                state.state_dict(), pack(process_states), strict=True
            )
        )
        json_path = self._json_path
        tensor_path = json_path.with_name(f"{json_path.stem}-{state.step}.safetensors")
        with atomic_write(tensor_path) as draft:
            save_tensors(draft, tensors)
        write_json(
            json_path,
            facts | {"tensors": tensor_path.name, "of": digest(self.identity)},
        )
        for file in self._files():
            if file not in (json_path, tensor_path):
                file.unlink()

    def delete(self) -> None:
        """Delete the files of the fold, which is finished."""
        if not self.world.is_primary:
            return
        json_path = self._json_path
        json_path.unlink(missing_ok=True)
        for file in self._files():
            file.unlink()
        if json_path.parent.is_dir() and not any(json_path.parent.iterdir()):
            json_path.parent.rmdir()

    def _files(self) -> list[Path]:
        """List the files of this fold, and drafts of them left by a kill.

        Files of other folds are not listed.
        """
        json_path = self._json_path
        own = rf"(\.\d+\.)?{re.escape(json_path.stem)}(-\d+\.safetensors|\.json)"
        return [f for f in json_path.parent.glob("*") if re.fullmatch(own, f.name)]


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
