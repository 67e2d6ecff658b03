"""TODO."""

from dataclasses import replace
from pathlib import Path
from typing import Any


def train(
    given: dict[str, Any],
    *,
    store: Path,
    weights: str,
    recipe: str | None,
    resume: Path | None,
    out: Path | None,
    device: str,
    workers: int | None,
    features: str | None,
    save_every: float,
    save_weights: bool,
    tensorboard: bool,
    verbose: bool,
) -> None:
    """Train with the settings that were named; the others come from tables."""
    from rich.console import Console

    from mmder_store import Store
    from mmder_store.errors import SettingsError
    from mmder_train.config.recipes import resolve_settings
    from mmder_train.config.train_config import TrainConfig
    from mmder_train.evaluation import tables
    from mmder_train.evaluation.run_directory import RunDirectory
    from mmder_train.experiment import setup
    from mmder_train.experiment.cross_validation import cross_validate, default_workers
    from mmder_train.experiment.feature_cache import cache_dir as features_folder
    from mmder_train.experiment.types import RuntimeContext
    from mmder_train.runtime import distributed
    from mmder_train.runtime.device import choose_device
    from mmder_train.runtime.progress import Progress, silent

    del verbose  # for the group, which shows errors
    chosen = choose_device(device)
    if resume is None:
        if "strategies" in given:
            given["strategies"] = tuple(
                n for names in given["strategies"] for n in names
            )
        usual = {"strategies": ("cfas",), "encoder": "", "labels": "", "protocol": ""}
        found = usual | resolve_settings(given, recipe) | {"weights": weights}
        config = TrainConfig(**found, device=chosen)
    else:
        if given or recipe or out:
            names = [f"--{n.replace('_', '-')}" for n in given] or ["--recipe, --out"]
            msg = f"--resume takes all settings from {resume}: leave out {names[0]}"
            raise SettingsError(msg)
        out = resume
        config = TrainConfig.from_json(RunDirectory(path=resume).config())
        config = replace(config, device=chosen, weights=weights)
    with distributed.distributed_context() as group:
        config = replace(config, world_size=group.world_size)
        kept = features_folder(store, features, method=config.method)
        run = setup.setup_experiment(Store(store), config, kept)
        folder = RunDirectory(path=out or run.default_run_dir())
        if group.is_primary:
            folder.open(run.identity())
        group.all_gather(None)
        console = Console(stderr=True)
        progress = silent()
        if group.is_primary:
            board = folder.path / "tensorboard" if tensorboard else None
            progress = Progress(console=console, log_file=folder.log, board=board)
        with progress:
            means = RuntimeContext(
                progress=progress,
                workers=default_workers(config) if workers is None else workers,
                world=group,
                checkpoints=folder.checkpoints,
                save_every_s=60 * save_every,
            )
            results = cross_validate(
                run, folder, save_weights=save_weights, means=means
            )
        if group.is_primary:
            tables.print_tables(results, folder, Console())
