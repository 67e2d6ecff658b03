"""`mmder-train pretrain`: masked pre-training of an encoder, without labels."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rich_click as click

from mmder_train.cli.pretrain_options import pretrain_options


@click.command(context_settings={"show_default": True})
@pretrain_options
def pretrain(
    stores: tuple[Path, ...],
    weights: str,
    probe_store: Path | None,
    out: Path,
    device: str,
    workers: int | None,
    save_every: float,
    tensorboard: bool,
    **settings: Any,  # noqa: ANN401
) -> None:
    """Pre-train an encoder on stores by reconstructing masked video and audio.

    Labels are not needed. The result, DIR/encoder.safetensors, is used with --weights.
    It contains hashes of the clips that were seen, and 'mmder-train' refuses to test on
    them. Rerun an interrupted command to resume it.
    """
    from rich.console import Console

    from mmder_store import Store
    from mmder_train.evaluation.run_directory import RunDirectory
    from mmder_train.experiment.cross_validation import MAX_WORKERS
    from mmder_train.experiment.types import RuntimeContext
    from mmder_train.pretraining.config import PretrainConfig
    from mmder_train.pretraining.run import PretrainFiles
    from mmder_train.pretraining.run import pretrain as run
    from mmder_train.pretraining.setup import setup_pretraining
    from mmder_train.runtime import distributed
    from mmder_train.runtime.device import choose_device
    from mmder_train.runtime.progress import Progress, silent

    chosen = choose_device(device)
    settings["encoder"] = settings["encoder"] or ""
    if workers is None:
        workers = MAX_WORKERS if chosen == "cuda" else 0
    with ExitStack() as lock, distributed.distributed_context(chosen) as world:
        config = PretrainConfig(**settings, device=chosen)
        pretraining = setup_pretraining(
            [Store(path) for path in stores],
            config,
            weights_source=weights,
            probe_store=None if probe_store is None else Store(probe_store),
        )
        directory = RunDirectory(path=out)
        if world.is_primary:
            lock.enter_context(directory.lock())
            directory.open(pretraining.identity())
        world.all_gather(None)
        progress = silent()
        if world.is_primary:
            progress = Progress(
                console=Console(stderr=True),
                log_file=directory.log,
                tensorboard_dir=directory.path / "tensorboard" if tensorboard else None,
            )
        with progress:
            context = RuntimeContext(
                progress=progress,
                checkpoints=directory.checkpoints,
                save_every_s=60 * save_every,
                workers=workers,
                world=world,
            )
            run(pretraining, directory, context)
        if world.is_primary:
            files = PretrainFiles(folder=out)
            _print_result(files.read_metrics()[-1])
            click.echo(f"seen: {pretraining.seen.describe()}")
            click.echo(f"metrics: {files.metrics}")
            click.echo(f"reconstruction of one clip: {files.picture}")
            click.echo(f"weights: {files.weights}")


def _print_result(row: dict[str, Any]) -> None:
    """Print the measures after the last epoch."""
    values = ", ".join(f"{k} {v:.3f}" for k, v in row.items() if k != "epoch")
    click.echo(f"epoch {row['epoch']}: {values}")
