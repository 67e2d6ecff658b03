"""`mmder-train pretrain`: masked pre-training of an encoder, without labels."""

from pathlib import Path
from typing import Any

import rich_click as click

from mmder_train.cli.config_file import check_config
from mmder_train.cli.pretrain_options import pretrain_options


@click.command(context_settings={"show_default": True})
@pretrain_options
@click.pass_context
def pretrain(
    ctx: click.Context,
    /,
    stores: tuple[Path, ...],
    weights: str,
    probe_store: Path | None,
    out: Path,
    device: str,
    workers: int | None,
    save_every: float,
    tensorboard: bool,
    config: Path | None,
    **settings: Any,  # noqa: ANN401
) -> None:
    """Pre-train an encoder on stores by reconstructing masked video and audio.

    Labels are not needed. The result, DIR/encoder.safetensors, is used with --weights.
    It contains hashes of the clips that were seen, and 'mmder-train' refuses to test on
    them. Rerun an interrupted command to resume it.
    """
    check_config(ctx)
    from mmder_store import Store
    from mmder_train.cli.open_run import open_run
    from mmder_train.data.reader_threads import default_readers
    from mmder_train.evaluation.run_directory import RunDirectory
    from mmder_train.pretraining.config import PretrainConfig
    from mmder_train.pretraining.run import PretrainFiles
    from mmder_train.pretraining.run import pretrain as run
    from mmder_train.pretraining.setup import setup_pretraining
    from mmder_train.runtime import distributed
    from mmder_train.runtime.device import choose_device
    from mmder_train.runtime.metrics_file import read_metrics

    chosen = choose_device(device)
    settings["encoder"] = settings["encoder"] or ""
    with distributed.distributed_context(chosen) as world:
        pretraining = setup_pretraining(
            [Store(path) for path in stores],
            PretrainConfig(**settings, device=chosen),
            weights_source=weights,
            probe_store=None if probe_store is None else Store(probe_store),
        )
        directory = RunDirectory(path=out)
        with open_run(
            directory,
            pretraining.identity(),
            world=world,
            workers=default_readers(chosen) if workers is None else workers,
            save_every_min=save_every,
            tensorboard=tensorboard,
        ) as context:
            run(pretraining, directory, context)
        if world.is_primary:
            files = PretrainFiles(folder=out)
            _print_result(read_metrics(directory.metrics)[-1])
            click.echo(f"seen: {pretraining.seen.describe()}")
            click.echo(f"metrics: {directory.metrics}")
            click.echo(f"reconstruction of one clip: {files.picture}")
            click.echo(f"weights: {files.weights}")


def _print_result(row: dict[str, Any]) -> None:
    """Print the measures after the last epoch."""
    from mmder_train.runtime.progress import RUN_METRICS

    values = ", ".join(
        f"{k} {v:.3f}" for k, v in row.items() if k not in ("epoch", *RUN_METRICS)
    )
    click.echo(f"epoch {row['epoch']}: {values}")
