"""`mmder-train features`: features of a frozen encoder as a file for other programs."""

from pathlib import Path
from typing import Any

import rich_click as click

from mmder_train.cli.options import (
    OUTPUT,
    device_option,
    labels_option,
    out_option,
    store_option,
    verbose_option,
    weights_option,
    workers_option,
)
from mmder_train.cli.training_options import encoder_options


@click.command(context_settings={"show_default": True})
@store_option(required=True, text="Sealed store written by mmder-prep.")
@weights_option
@labels_option
@encoder_options
@out_option("File for the features: NAME.npz or NAME.parquet.", required=True)
@device_option("Device of the encoder.")
@workers_option
@click.option(
    "--feature-cache",
    metavar="DIR|none",
    help="Folder of cached features, shared with --method linear-probe.  "
    "[default: STORE.features]",
    panel=OUTPUT,
)
@verbose_option
def features(
    store: Path,
    out: Path,
    device: str,
    workers: int | None,
    feature_cache: str | None,
    strategies: tuple[Any, ...],
    **settings: Any,  # noqa: ANN401
) -> None:
    """Write one feature vector per clip and strategy, with the folds of each clip.

    The features are those of --method linear-probe, and share its cache. The file also
    has clip id, speaker, emotion and class of each clip, and the fold that tests the
    clip in each protocol. It is for scikit-learn, pandas and other programs.
    """
    from rich.console import Console

    from mmder_store import Store
    from mmder_train.config.recipes import resolve_settings
    from mmder_train.config.train_config import TrainConfig
    from mmder_train.data.reader_threads import ReaderThreads, default_readers
    from mmder_train.experiment.feature_cache import cache_dir
    from mmder_train.experiment.feature_file import check_feature_file, write_features
    from mmder_train.experiment.feature_table import build_feature_table, setup_features
    from mmder_train.experiment.types import RuntimeContext
    from mmder_train.runtime import distributed
    from mmder_train.runtime.device import choose_device
    from mmder_train.runtime.progress import Progress, silent

    check_feature_file(out)
    chosen = choose_device(device)
    given = {name: value for name, value in settings.items() if value is not None}
    given["strategies"] = tuple(name for names in strategies for name in names)
    unset = {"encoder": "", "labels": "", "protocol": ""}
    config = TrainConfig(**(unset | resolve_settings(given, None)), device=chosen)
    with distributed.distributed_context(chosen) as world:
        folder = cache_dir(store, feature_cache, method="linear-probe")
        experiment = setup_features(Store(store), config, folder)
        progress = Progress(console=Console(stderr=True))
        with progress if world.is_primary else silent() as shown:
            number = default_readers(chosen) if workers is None else workers
            with ReaderThreads(number) as readers:
                context = RuntimeContext(
                    progress=shown,
                    readers=readers,
                    world=world,
                    checkpoints=out.parent,
                )
                table = build_feature_table(experiment, context)
        if world.is_primary:
            write_features(out, table)
            sizes = ", ".join(f"{n} {x.shape[1]}" for n, x in table.features.items())
            click.echo(f"{len(table.clip_id)} clips, dimensions: {sizes}")
            click.echo(f"features: {out}")
