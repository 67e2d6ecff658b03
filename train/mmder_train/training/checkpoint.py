"""Save and resume a partly trained fold, bit for bit."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmder_store.atomic_files import atomic_write, write_json
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.runtime.background_writer import BackgroundWriter
from mmder_train.runtime.distributed import SINGLE_PROCESS, WorldInfo
from mmder_train.runtime.host_copies import HostCopies
from mmder_train.runtime.signals import StopRequest, TrainingInterruptedError
from mmder_train.runtime.tensor_files import save_tensors
from mmder_train.training.process_state import pack, unpack
from mmder_train.training.train_state import TrainState


@dataclass(kw_only=True, slots=True)
class Checkpoint:
    """Files that hold the training state of one fold.

    A JSON file holds the progress of the fold and names the file of its tensors. It is
    renamed into place after that file is complete, so that the two always match. The
    primary process writes them, with the random states of all processes. The fold can
    be resumed with another number of processes.

    Training waits only for the copy of its state to host memory. A thread writes the
    files, one checkpoint at a time.
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
    _copies: HostCopies = field(default_factory=HostCopies)
    _writer: BackgroundWriter = field(default_factory=BackgroundWriter)

    @property
    def _json_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def load(self, state: TrainState) -> bool:
        """Restore the state from the checkpoint, and return whether there was one.

        Raises:
            SettingsError: If the checkpoint is damaged or belongs to another run.
        """
        # All processes read what the primary process found, also if a network file
        # system still shows them older files.
        facts = self.world.broadcast(self._read_facts)
        if facts is None:
            return False
        world = self.world
        problem = ""
        try:
            tensors = load_file(self._json_path.with_name(facts["tensors"]))
        except FileNotFoundError:
            problem = "lacks its tensors"
        except SafetensorError as error:
            problem = f"cannot be read ({_short(error)})"
        self._raise_for_all(problem)
        try:
            state.load(tensors, facts)
            own = unpack(tensors, facts, rank=world.rank, world_size=world.world_size)
        except (
            LookupError,
            ValueError,
            RuntimeError,
            TypeError,
            AttributeError,
        ) as error:
            problem = f"is of another model ({_short(error)})"
            raise self._error(problem) from error
        state.load_process_state(own)
        return True

    def _read_facts(self) -> dict[str, Any] | None:
        """Read the JSON file, or return None if there is no checkpoint."""
        try:
            facts = json.loads(self._json_path.read_text(encoding="utf-8"))
            file = str(facts["tensors"])
            int(facts["step"])
            of = facts["of"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            problem = f"cannot be read ({_short(error)})"
            raise self._error(problem) from error
        problem = ""
        if Path(file).name != file:
            problem = f"names a file in another folder ({file})"
        elif of != digest(self.identity):
            problem = "is of a run with other settings"
        if problem:
            raise self._error(problem)
        return dict(facts)

    def _raise_for_all(self, problem: str) -> None:
        """Raise the problem of any process in all of them."""
        problems = self.world.all_gather(problem)
        for rank, found in enumerate(problems):
            if found:
                if all(problems):
                    raise self._error(found)
                found += f" in process {rank} of {len(problems)}"
                way_out = "Put the folder of the run where all processes can read it."
                raise self._error(found, way_out)

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
        self._writer.check()
        if request:
            self.save(state)
        if number:
            self._writer.wait()
            # No process ends before the file is written: torchrun would kill the rest.
            self.world.all_gather(None)
            interrupted = TrainingInterruptedError(
                f"stopped after step {state.step} of {self.task}, which is saved. Run "
                "the same command to resume."
            )
            interrupted.signal = number
            raise interrupted

    def save(self, state: TrainState) -> None:
        """Copy the complete state, and start to write it. All processes call it.

        The write before must have ended; this waits for it.

        Raises:
            NonFiniteLossError: If the loss of the last step is infinite or NaN.
                Nothing is written.
            OSError: If the checkpoint before could not be written. The older one is
                kept.
        """
        state.check_loss()
        process_states = self.world.all_gather(state.process_state())
        if self.world.is_primary:
            self._writer.wait()
            random_states, sums = pack(process_states)
            tensors = self._copies.copy(state.named_tensors()) | random_states
            facts = state.progress() | sums
            self._writer.start(partial(self._write, tensors, facts))
        elif state.sharded:
            for _ in state.named_tensors():
                pass  # gathered for the primary process
        self._saved_s = time.monotonic()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Context of the training. At its end the last write has ended.

        Raises:
            OSError: If that write failed, unless the training failed itself.
        """
        try:
            yield
        finally:
            self._writer.join()
        self._writer.wait()

    def _write(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write the files, and delete older ones."""
        json_path = self._json_path
        tensor_path = json_path.with_name(
            f"{json_path.stem}-{facts['step']}.safetensors"
        )
        with atomic_write(tensor_path) as draft:
            save_tensors(draft, tensors)
        write_json(
            json_path,
            {**facts, "tensors": tensor_path.name, "of": digest(self.identity)},
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
