"""Open the folder of a run for training: lock, settings, log and progress.

Imported only after the options were parsed, because it imports torch.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console

from mmder_train.data.reader_threads import ReaderThreads
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.experiment.types import RuntimeContext
from mmder_train.runtime.distributed import WorldInfo
from mmder_train.runtime.metrics_file import MetricsFile
from mmder_train.runtime.progress import Progress, silent


@contextmanager
def open_run(
    directory: RunDirectory,
    identity: dict[str, Any],
    *,
    world: WorldInfo,
    workers: int,
    save_every_min: float,
    tensorboard: bool,
    shard_weights: bool = False,
) -> Iterator[RuntimeContext]:
    """Lock and open the folder of a run, and yield the resources of its training.

    Only the primary process writes and shows progress.

    Args:
        directory: Folder of the run.
        identity: Everything that determines the results, as JSON values.
        world: Processes that train together.
        workers: Number of threads that read the store.
        save_every_min: Minutes between checkpoints.
        tensorboard: True to write scalars for TensorBoard.
        shard_weights: True to divide the weights among the processes.

    Raises:
        MmderError: If the folder is in use, or holds another run.
    """
    with ExitStack() as stack:
        if world.is_primary:
            stack.enter_context(directory.lock())
            directory.open(identity)
        world.all_gather(None)
        progress = silent()
        if world.is_primary:
            progress = Progress(
                console=Console(stderr=True),
                log_file=directory.log,
                tensorboard_dir=directory.path / "tensorboard" if tensorboard else None,
                metrics=MetricsFile(path=directory.metrics),
            )
        stack.enter_context(progress)
        yield RuntimeContext(
            progress=progress,
            readers=stack.enter_context(ReaderThreads(workers)),
            world=world,
            shard_weights=shard_weights,
            checkpoints=directory.checkpoints,
            save_every_s=60 * save_every_min,
        )
